"""Ctrl-C and SIGTERM during training: the current step is finished and saved first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """A context manager in which the first signal is noted, and a second stops at once.

    Until `ready` is set there is nothing to save, and the first stops at once. A SIGTERM after
    Ctrl-C, or the reverse, is ignored: launchers send both.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` shows a message to the user."""
        self._say = say
        self.ready = False
        """Whether there is progress to save."""
        self.wanted = 0
        """The number of the noted signal; 0 if there was none."""
        self._before: dict[int, Any] = {}

    def leave(self) -> None:
        """Act as the noted signal would have: raises KeyboardInterrupt."""
        self._raise(self.wanted or signal.SIGINT, None)

    def __enter__(self) -> Self:
        for number in _NUMBERS:
            before = signal.getsignal(number)
            if callable(before):  # leave ignored and default handlers alone
                try:
                    self._before[number] = signal.signal(number, self._handle)
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.ready or self.wanted == number:
            self._raise(number, frame)
        elif not self.wanted:
            self.wanted = number
            again = "Ctrl-C again" if number == signal.SIGINT else "SIGTERM again"
            self._say(f"stopping after this step, which is kept ({again}: at once)")

    def _raise(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number)
        if callable(before) and before is not signal.default_int_handler:
            before(number, frame)
        raise KeyboardInterrupt
