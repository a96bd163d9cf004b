"""Quantisation to K types by llama.cpp's library, in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from storm_exp import InputError
from storm_export.gguf.formats import FILE_TYPES, GgufType

FOLDER = "LIBLLAMA"
"""The environment variable that names the folder of llama.cpp's shared libraries."""
HOW = (
    f"llama.cpp's shared libraries, in the folder named by the environment variable {FOLDER}: "
    "`npm install @node-llama-cpp/linux-x64` installs them"
)
_POLL_SECONDS = 0.1
_NODE = "node_modules/@node-llama-cpp"


def find_libllama() -> Path | None:
    """Return the folder with libllama: that of LIBLLAMA, else node's package in this folder."""
    configured = os.environ.get(FOLDER)
    folders = [Path(configured)] if configured else sorted(Path(_NODE).glob("*/bins/*"))
    return next((folder.resolve() for folder in folders if any(folder.glob("libllama.*so*"))), None)


def quantise(
    source: Path,
    target: Path,
    type_: GgufType,
    threads: int,
    check: Callable[[], None],
    importance: Path | None = None,
) -> None:
    """Quantise a file, by an importance matrix if given; raises InputError with llama.cpp's words.

    `check` is called repeatedly; the process is ended if it raises.
    """
    folder = find_libllama()
    if folder is None:
        raise InputError(f"types={type_.value}: needs {HOW}")
    program = Path(__file__).with_name("quantise.py")
    words = [str(folder), str(source), str(target), str(FILE_TYPES[type_]), str(threads)]
    words += [str(importance)] if importance else []
    with target.with_suffix(".log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(program), *words],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            while process.poll() is None:
                check()
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        messages = log.read().strip().splitlines()[-5:]
    Path(log.name).unlink()
    if process.returncode != 0 or not target.is_file():
        ended = f"types={type_.value}: llama.cpp ended with {process.returncode}: {messages}"
        if importance and process.returncode < 0:
            ended += " (libraries from before April 2026 take no importance matrix in this form)"
        raise InputError(ended)
