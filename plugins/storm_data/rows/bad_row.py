"""A row that cannot be used, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class BadRow(Exception):
    """A row that cannot be used: `reason` is one of a few, `detail` says what exactly."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def in_few_words(examples: Iterable[Mapping[str, Any]]) -> str:
    """Return examples of bad rows for people; what several have in common is said once."""
    lines: dict[str, list[str]] = {}
    for example in examples:
        said = f"{example['reason']} ({example['detail']})"
        lines.setdefault(said, []).append(str(example["line"]))
    return "; ".join(
        f"line{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {said}"
        for said, numbers in lines.items()
    )
