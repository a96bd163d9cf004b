"""K types through llama.cpp's own library, in a process of its own."""

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
    f"llama.cpp's shared libraries, in a folder that the environment variable {FOLDER} names: "
    "`npm install @node-llama-cpp/linux-x64` brings them"
)
_POLL_SECONDS = 0.1
_NODE = "node_modules/@node-llama-cpp"


def find_libllama() -> Path | None:
    """Return the folder with libllama: what LIBLLAMA names, else node's package here."""
    stated = os.environ.get(FOLDER)
    places = [Path(stated)] if stated else sorted(Path(_NODE).glob("*/bins/*"))
    return next((place.resolve() for place in places if any(place.glob("libllama.*so*"))), None)


def quantise(
    source: Path, target: Path, type_: GgufType, threads: int, check: Callable[[], None]
) -> None:
    """Write a file's tensors in a K type; raises InputError with what llama.cpp said.

    `check` is called again and again, and ends the process by raising.
    """
    folder = find_libllama()
    if folder is None:
        raise InputError(f"types={type_.value}: needs {HOW}")
    program = Path(__file__).with_name("quantise.py")
    words = [str(folder), str(source), str(target), str(FILE_TYPES[type_]), str(threads)]
    with target.with_suffix(".log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(program), *words],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None:
                check()
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        said = log.read().strip().splitlines()[-5:]
    Path(log.name).unlink()
    if process.returncode != 0 or not target.is_file():
        raise InputError(f"types={type_.value}: llama.cpp ended with {process.returncode}: {said}")
