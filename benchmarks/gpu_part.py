"""What a part of the GPU benchmark returns, and how long it may take."""

from __future__ import annotations

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a part has measured."""

    body: str
    """A section of a page, in Markdown."""
    figures: dict[str, float]
    """The same by name, with units in the names."""


class Deadline:
    """When a part has to be done."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.monotonic()
