"""Signals that end a run: SIGINT (Ctrl-C), and SIGTERM, which schedulers send."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Self


class Signals:
    """Context manager in which SIGINT and SIGTERM raise KeyboardInterrupt and are recorded.

    They are recorded because a library may catch the exception.
    """

    def __init__(self) -> None:
        """Start without a recorded signal."""
        self.came = 0
        """Number of the last signal received, 0 if none was."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in usual.items():
            # A handler set by somebody else stays; only the main thread may set one.
            if signal.getsignal(number) is handler:
                try:
                    self._before[number] = signal.signal(number, self._hear)
                except ValueError:
                    return self
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.came = number
        raise KeyboardInterrupt
