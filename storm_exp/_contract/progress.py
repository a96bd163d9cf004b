"""Progress with time left: a bar on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tqdm import tqdm

_QUIET_SECONDS = 15.0


class Progress:
    """Counter of `total` steps of `unit` that shows how many are left, and how long they take."""

    def __init__(
        self,
        label: str,
        total: int,
        unit: str,
        *,
        quiet: bool = False,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Start counting; nothing is shown before the first step, and nothing at all if `quiet`.

        `check` is called at every step; it may raise an error to end the work.
        """
        self._check = check
        self._label, self._total, self._unit = label, total, unit
        self._done = 0
        self._started = self._spoke = time.monotonic()
        self._bar: tqdm[None] | None = None
        self._quiet = quiet
        if sys.stderr.isatty() and not quiet:
            from tqdm import tqdm  # imported only where a bar is shown

            self._bar = tqdm(
                total=total, unit=unit, desc=f"  {label}", leave=False, dynamic_ncols=True
            )

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Count `steps` more; `figures`, such as a loss, are shown after the bar."""
        self._done += steps
        if self._check is not None:
            self._check()
        shown = {name: f"{value:.3g}" for name, value in figures.items()}
        if self._bar is not None:
            if shown:
                self._bar.set_postfix(shown, refresh=False)
            self._bar.update(steps)
            return
        now = time.monotonic()
        if now - self._spoke >= _QUIET_SECONDS and not self._quiet:
            self._spoke = now
            left = (now - self._started) / max(self._done, 1) * (self._total - self._done)
            tail = "".join(f", {name} {value}" for name, value in shown.items())
            self.write(
                f"  {self._label}: {self._done}/{self._total} {self._unit}, {left:.0f} s left of "
                f"this stage{tail}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @staticmethod
    def write(line: str) -> None:
        """Write a line to standard error without breaking a bar that is shown."""
        drawing = sys.modules.get("tqdm")
        if drawing is not None:
            drawing.tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
        sys.stderr.flush()
