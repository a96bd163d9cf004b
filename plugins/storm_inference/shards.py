"""Shards that several workers divide among themselves: who takes one makes it, alone."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def claimed(file: Path) -> Iterator[bool]:
    """Hold the shard of a file for as long as the block lasts; yields whether nobody else does.

    The claim of a worker that dies ends with it. Workers on several nodes need a file system that
    keeps locks.
    """
    with file.with_suffix(".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
