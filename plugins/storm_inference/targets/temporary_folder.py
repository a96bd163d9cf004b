"""Temporary files of verbs, and their end on signals."""

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
def ends_on_signals(code: int) -> Iterator[None]:
    """Exit with `code` on SIGTERM, and on SIGHUP (a closed terminal), leaving contexts in order.

    SIGHUP stays ignored under nohup.
    """

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(code if number == signal.SIGTERM else 128 + number)

    numbers = [signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
