"""Quantisation through libllama: quantise.py LIBRARIES SOURCE TARGET FTYPE THREADS [IMATRIX].

A separate program, so that a crash of the library does not end the run.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


class Importance(ctypes.Structure):
    """`llama_model_imatrix_data`: the mean squares of the inputs of one matrix."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.POINTER(ctypes.c_float)),
        ("size", ctypes.c_size_t),
    )


class Parameters(ctypes.Structure):
    """The first fields of `llama_model_quantize_params`; the others keep llama.cpp's defaults."""

    _fields_ = (
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int32),
        ("kinds", ctypes.c_int32 * 2),
        ("switches", ctypes.c_bool * 8),
        ("imatrix", ctypes.POINTER(Importance)),
        ("rest", ctypes.c_byte * 480),
    )


def library(folder: Path, name: str) -> ctypes.CDLL:
    """Load lib`name`, whose file name may end in a version, with its symbols global."""
    file = sorted([*folder.glob(f"lib{name}.so*"), *folder.glob(f"lib{name}.*so")])[0]
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)


def importances(file: Path) -> ctypes.Array[Importance]:
    """Return the entries of an importance matrix, ended by one without a name."""
    from storm_export.gguf.importance_matrix import read_matrix

    entries = []
    for name, values in read_matrix(file).items():
        data = (ctypes.c_float * len(values))(*values.tolist())
        entries.append(Importance(name.encode(), data, len(values)))
    return (Importance * (len(entries) + 1))(*entries)


def main(
    folder: Path, source: str, target: str, ftype: int, threads: int, importance: Path | None
) -> int:
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
    if importance:
        entries = importances(importance)
        parameters.imatrix = ctypes.cast(entries, ctypes.POINTER(Importance))
    return int(
        llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    matrix = Path(words[5]) if len(words) > 5 else None
    sys.exit(main(Path(words[0]), words[1], words[2], int(words[3]), int(words[4]), matrix))
