"""A file that is flushed to the disk while it is written, from a thread."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

_INTERVAL = 0.2
"""Seconds between two flushes."""


class BackgroundFlush:
    """Flushes a file again and again, so that little is left for whoever flushes it at the end.

    Systems let seconds of writing wait in memory otherwise, while the disk is idle.
    """

    def __init__(self, file: Path) -> None:
        """Begin to flush `file`, which must be there."""
        self._file = file
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._flushing = self._thread.submit(self._flush)

    def _flush(self) -> None:
        descriptor = os.open(self._file, os.O_RDONLY)
        try:
            while not self._ended.wait(_INTERVAL):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; raises OSError if a flush failed, as the file may lack what it should hold."""
        self._ended.set()
        self._thread.shutdown()
        if kind is None:
            self._flushing.result()
