"""Signals that end a run: Ctrl-C, and what a scheduler sends before it kills."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Signals:
    """While held as a context manager, SIGINT and SIGTERM raise KeyboardInterrupt, and are noted.

    Noted, because a library may turn the exception into another, or into a result.
    """

    def __init__(self) -> None:
        """Note nothing yet."""
        self.came = 0
        """Number of the last signal that came."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in usual.items():
            # Who set a handler, or had the signal ignored, keeps it; only the main thread may set.
            if signal.getsignal(number) is handler:
                try:
                    self._before[number] = signal.signal(number, self._hear)
                except ValueError:
                    return self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.came = number
        raise KeyboardInterrupt
