"""The curation funnel: rows left after each step, reasons for rejecting others, examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storm_curation.selection.verdict import Rejection
from storm_models.chat.conversation import plain_text

EXAMPLES = 8
"""The most examples of kept rows, and of rejected ones."""
CHARACTERS = 400
"""The most characters of a message that are shown."""


def funnel(
    assigned: Sequence[str | Rejection],
    steps: Sequence[str],
    rows: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the rows left after each of `steps`, in order, and examples from `rows`.

    `assigned` holds a split's name for each kept row and a Rejection for each other. The rejected
    examples take a row of each reason in turn.
    """
    rejected: dict[str, Counter[str]] = {step: Counter() for step in steps}
    splits = Counter({"train": 0, "validation": 0, "rejected": 0})
    for entry in assigned:
        if isinstance(entry, str):
            splits[entry] += 1
        else:
            rejected[entry.step][entry.reason] += 1
            splits["rejected"] += 1
    left, counted = len(assigned), []
    for step in steps:
        left -= rejected[step].total()
        reasons = dict(sorted(rejected[step].items()))
        counted.append({"step": step, "kept": left, "rejected": reasons})
    examples = _examples(assigned, rows)
    return {"read": len(assigned), "steps": counted, "splits": dict(splits), "examples": examples}


def _examples(
    assigned: Sequence[str | Rejection], rows: Iterable[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    kept: list[dict[str, Any]] = []
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for entry, row in zip(assigned, rows, strict=False):
        if isinstance(entry, str):
            if len(kept) < EXAMPLES:
                kept.append(_shown(row))
            continue
        same = by_reason.setdefault(entry.reason, [])
        if len(same) < EXAMPLES:
            same.append({**_shown(row), "reason": entry.reason})
    ranks = range(EXAMPLES)
    reasons = sorted(by_reason)
    rejected = [by_reason[r][rank] for rank in ranks for r in reasons if rank < len(by_reason[r])]
    return {"kept": kept, "rejected": rejected[:EXAMPLES]}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": message["role"], "content": _clip(plain_text(message))}
        for message in row["messages"]
    ]
    return {"id": row["id"], "source": row.get("source"), "messages": messages}


def _clip(text: str) -> str:
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + " …"
