"""Ctrl-C and a scheduler's SIGTERM while a model trains: the step is finished, and kept."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """While held as a context manager, the first signal is noted and the second obeyed at once.

    Until `ready` is set there is nothing to keep, and the first is obeyed as well. A signal of
    another kind that follows a noted one changes nothing: launchers send both.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` lets the user know that a signal was heard."""
        self._tell = tell
        self.ready = False
        """Whether there is progress to keep."""
        self.wanted = 0
        """The number of the signal that was noted."""
        self._before: dict[int, Any] = {}

    def leave(self) -> None:
        """End as the noted signal would have: raises KeyboardInterrupt."""
        self._obey(self.wanted or signal.SIGINT, None)

    def __enter__(self) -> Self:
        for number in _NUMBERS:
            before = signal.getsignal(number)
            if callable(before):  # ignored signals, and a SIGTERM that just ends, stay as they are
                try:
                    self._before[number] = signal.signal(number, self._hear)
                except ValueError:  # only the main thread may
                    break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None and self.wanted:
            self.leave()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.ready or self.wanted == number:
            self._obey(number, frame)
        elif not self.wanted:
            self.wanted = number
            again = "Ctrl-C again" if number == signal.SIGINT else "SIGTERM again"
            self._tell(f"stopping after this step, which is kept ({again}: at once)")

    def _obey(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number)
        if callable(before) and before is not signal.default_int_handler:
            before(number, frame)
        raise KeyboardInterrupt
