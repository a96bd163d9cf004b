"""A row that cannot be used, and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class BadRow(Exception):
    """A row that cannot be used: `reason` is one of a few texts, `detail` is specific."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


def short_list(examples: Iterable[Mapping[str, Any]]) -> str:
    """Return examples of bad rows as text; rows with the same problem are joined."""
    lines_by_problem: dict[str, list[str]] = {}
    for example in examples:
        problem = f"{example['reason']} ({example['detail']})"
        lines_by_problem.setdefault(problem, []).append(str(example["line"]))
    return "; ".join(
        f"line{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}: {problem}"
        for problem, numbers in lines_by_problem.items()
    )
