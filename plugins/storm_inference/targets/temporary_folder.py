"""Temporary files of verbs, and their end on SIGTERM."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType


@contextlib.contextmanager
def temporary_folder(verb: str) -> Iterator[Path]:
    """Yield an empty folder; at the end it is removed, except for log files after an error."""
    folder = Path(tempfile.mkdtemp(prefix=f"storm-exp-{verb}-"))
    try:
        yield folder
    except Exception:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        with contextlib.suppress(OSError):
            folder.rmdir()  # without log files
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


@contextlib.contextmanager
def ends_on_sigterm(code: int) -> Iterator[None]:
    """Exit with `code` on SIGTERM, leaving context managers in order."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(code)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
