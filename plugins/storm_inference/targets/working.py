"""What a verb that uses a model leaves behind: nothing, or the logs of what went wrong."""

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
def working_folder(verb: str) -> Iterator[Path]:
    """Yield an empty folder that is removed at the end; after an error its logs stay."""
    folder = Path(tempfile.mkdtemp(prefix=f"storm-exp-{verb}-"))
    try:
        yield folder
    except Exception:
        for entry in folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        with contextlib.suppress(OSError):
            folder.rmdir()  # where there is no log
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


@contextlib.contextmanager
def ends_on_sigterm(code: int) -> Iterator[None]:
    """Let SIGTERM end what stands inside in order, with an exit code."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(code)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
