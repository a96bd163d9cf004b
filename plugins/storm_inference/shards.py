"""Shards of a stage's work, which several workers divide among themselves."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from storm_exp import StageContext
from storm_inference.journal import Journal

_POLL_SECONDS = 0.2

Compute = Callable[[Journal], Any]
"""Computes a shard's result, a JSON value. The journal keeps its batches if it is interrupted."""


class Shards:
    """The shards of a stage, in its scratch folder; finished ones are not computed again.

    Contents and names of shards must not depend on the number of workers.
    """

    def __init__(self, stage: StageContext) -> None:
        """Share shards with the other workers of `stage`."""
        self._stage = stage
        self.made: set[str] = set()
        """Names of the shards that this worker made."""

    def finished(self) -> set[str]:
        """Return the names of the finished shards."""
        return {file.stem for file in self._stage.scratch.glob("*.json")}

    def make(self, name: str, compute: Compute) -> bool:
        """Compute a shard unless it is finished; return False if another worker has it."""
        if self.read(name) is not None:
            return True
        file = self._file(name)
        with claimed(file) as mine:
            if mine and self.read(name) is None:
                journal = Journal(file.with_suffix(".journal"))
                _publish(file, compute(journal))
                journal.remove()
                self.made.add(name)
            return mine

    def result(self, name: str, compute: Compute) -> Any:
        """Return a shard's result; computes it, or waits for the worker that does."""
        while (result := self.read(name)) is None:
            self._stage.check()
            if not self.make(name, compute):
                time.sleep(_POLL_SECONDS)
        return result

    def each(self, shards: Mapping[str, Compute]) -> Iterator[tuple[str, Any]]:
        """Yield name and result of every shard when it is finished, by whichever worker.

        Every worker computes the first shard that is neither finished nor another's.
        """
        left = dict(shards)
        while left:
            self._stage.check()
            ready = next((name for name in left if self.make(name, left[name])), None)
            if ready is None:
                time.sleep(_POLL_SECONDS)
            elif (result := self.read(ready)) is not None:
                del left[ready]
                yield ready, result

    def read(self, name: str) -> Any:
        """Return a shard's result, None if it is not finished or its file is damaged."""
        try:
            return json.loads(self._file(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _file(self, name: str) -> Path:
        return self._stage.scratch / f"{name}.json"


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


def _publish(file: Path, result: Any) -> None:
    """Write a shard atomically."""
    partial = file.with_suffix(f".partial-{os.getpid()}")
    with partial.open("w", encoding="utf-8") as stream:
        json.dump(result, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
