"""Quantisation through libllama: python quantise.py LIBRARIES SOURCE TARGET FTYPE THREADS.

A separate program, so that a crash of the library does not end the run.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


class Parameters(ctypes.Structure):
    """The first fields of `llama_model_quantize_params`; the others keep llama.cpp's defaults."""

    _fields_ = (
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int32),
        ("rest", ctypes.c_byte * 504),
    )


def library(folder: Path, name: str) -> ctypes.CDLL:
    """Load lib`name`, whose file name may end in a version, with its symbols global."""
    file = sorted([*folder.glob(f"lib{name}.so*"), *folder.glob(f"lib{name}.*so")])[0]
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)


def main(folder: Path, source: str, target: str, ftype: int, threads: int) -> int:
    """Write `target`; return llama.cpp's exit code."""
    library(folder, "ggml-base")
    ggml = library(folder, "ggml")
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    llama = library(folder, "llama")
    llama.llama_model_quantize_default_params.restype = Parameters
    llama.llama_model_quantize.restype = ctypes.c_uint32
    llama.llama_model_quantize.argtypes = [
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.POINTER(Parameters),
    ]
    llama.llama_backend_init()
    parameters = llama.llama_model_quantize_default_params()
    parameters.nthread, parameters.ftype = threads, ftype
    return int(
        llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(Path(words[0]), words[1], words[2], int(words[3]), int(words[4])))
