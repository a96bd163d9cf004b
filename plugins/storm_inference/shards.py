"""Locks by which several workers divide shards among themselves."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def claimed(file: Path) -> Iterator[bool]:
    """Lock a shard's file for the duration of the block; yields False if another worker has it.

    The lock of a worker that dies is released. Workers on several nodes need a file system that
    supports locks.
    """
    with file.with_suffix(".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
