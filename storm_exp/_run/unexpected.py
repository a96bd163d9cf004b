"""Unexpected errors: a short message, with the traceback in a file."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from pathlib import Path

SHOWN = "STORM_EXP_TRACEBACK"
"""Environment variable that makes tracebacks appear on the screen."""


def report_unexpected(error: BaseException, words: list[str]) -> str:
    """Write the traceback of an unexpected error to a file; return a message for the user."""
    if isinstance(error, RecursionError):
        problem = "something in it is nested too deeply, perhaps without end"
    elif isinstance(error, MemoryError):
        problem = "there is not enough memory for it"
    else:
        problem = f"{type(error).__name__}: {_shorten(str(error))}"
    file = _write(error, words)
    where = f"the traceback is in {file}" if file else f"{SHOWN}=1 shows the traceback"
    return (
        f"an unexpected failure: {problem}\n"
        f"  command: {_shorten(' '.join(words))}\n"
        f"  This is a bug in storm-exp or in a plugin.\n"
        f"  Please report it with the command; {where}."
    )


def _shorten(text: str) -> str:
    """Return a text as a single printable line of bounded length."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= 300 else f"{line[:297]}…"


def _write(error: BaseException, words: list[str]) -> Path | None:
    """Write the traceback to `outputs` or the folder for temporary files; None if neither works."""
    text = f"{' '.join(words)}\n\n{''.join(traceback.format_exception(error))}"
    name = f"traceback-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path("outputs"), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return None
