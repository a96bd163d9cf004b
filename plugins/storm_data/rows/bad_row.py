"""A row that cannot be used, and why."""

from __future__ import annotations


class BadRow(Exception):
    """A row that cannot be used: `reason` is one of a few, `detail` says what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
