"""Whether a server that has requests makes progress."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from storm_inference.servers.server import Server

_COMPUTED = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
"""Counters that show that a server computes."""


class Progress:
    """The requests of a server: how many it has, and when it last answered or computed."""

    def __init__(self, server: Server) -> None:
        """Watch a server."""
        self._server = server
        self._requests = 0
        self._tokens = -1.0
        self._since = time.monotonic()
        self._change = threading.Lock()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as the server's during the block; its end, of any kind, is progress."""
        with self._change:
            if not self._requests:
                self._since = time.monotonic()
            self._requests += 1
        try:
            yield
        finally:
            with self._change:
                self._requests -= 1
                self._since = time.monotonic()

    def seconds_without(self) -> float:
        """Return for how long a server that has requests neither ended one nor counted tokens."""
        tokens = sum(self._server.counters(*_COMPUTED))
        with self._change:
            now = time.monotonic()
            if tokens > self._tokens or not self._requests:
                self._tokens, self._since = max(tokens, self._tokens), now
            return now - self._since
