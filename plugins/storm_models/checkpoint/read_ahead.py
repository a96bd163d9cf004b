"""Pieces of tensors, read in threads before they are needed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch

from storm_models.checkpoint.weights import Weights, pieces

_THREADS = 2
_AHEAD = 4
"""Pieces that are read ahead of the one in use."""
_LARGE_BLOCK = (1 << 25) - (1 << 16)
"""Bytes: a little less than the largest block that raises the threshold."""


class ReadAhead:
    """The pieces of one or more sources' tensors in a given order, the next ones read meanwhile."""

    def __init__(
        self, sources: Sequence[Weights], names: Iterable[str], *, whole_rows: bool = False
    ) -> None:
        """Take the pieces of the tensors `names`, in this order, from all sources.

        With `whole_rows`, pieces of matrices end where a row does.
        """
        _keep_freed_memory()
        self._whole_rows = whole_rows
        self._sources = sources
        self._threads = ThreadPoolExecutor(_THREADS)
        self._waiting: deque[list[Future[torch.Tensor]]] = deque()
        self._coming = ((name, start, stop) for name in names for start, stop in self._pieces(name))

    def read(self, name: str) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """Yield where each piece of the next tensor begins, and the piece from every source.

        Raises what reading raises.
        """
        for start, _ in self._pieces(name):
            while len(self._waiting) <= _AHEAD and (piece := next(self._coming, None)):
                reading = [self._threads.submit(source.read, *piece) for source in self._sources]
                self._waiting.append(reading)
            yield start, [piece.result() for piece in self._waiting.popleft()]

    def _pieces(self, name: str) -> Iterator[tuple[int, int]]:
        shape = self._sources[0].headers[name][1]
        return pieces(math.prod(shape), shape[-1] if self._whole_rows and shape else 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)


def _keep_freed_memory() -> None:
    """Have the C library keep what pieces free for the next ones, where it is glibc.

    It returns freed memory of more than a threshold to the system, and raises the threshold when a
    larger block is freed (mallopt(3), M_MMAP_THRESHOLD); new pages for every piece cost more than
    the arithmetic. The block is never written to, so it takes no memory.
    """
    torch.empty(_LARGE_BLOCK, dtype=torch.uint8)
