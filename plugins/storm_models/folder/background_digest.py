"""The digest of a file that is computed while the file is written, in a thread beside it."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

_AHEAD = 8
"""Writes that the digest may lag behind; their data stay in memory until then."""


class BackgroundDigest:
    """The sha256 of bytes that come in order, computed in a thread."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._digest = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes, which must not change afterwards; waits if too many are waiting."""
        self._size += len(data)
        self._waiting.append(self._thread.submit(self._digest.update, data))
        if len(self._waiting) > _AHEAD:
            self._waiting.popleft().result()

    def entry(self) -> list[Any]:
        """Return the number of bytes so far and their sha256, as manifests have them."""
        while self._waiting:
            self._waiting.popleft().result()
        return [self._size, self._digest.hexdigest()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
