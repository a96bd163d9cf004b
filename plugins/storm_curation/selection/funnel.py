"""The curation funnel: how many rows each step left, why the others went, and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from storm_curation.selection.verdict import Rejection
from storm_models.chat.conversation import plain_text

EXAMPLES = 8
"""Examples shown of the kept rows, and of the rejected ones."""
CHARACTERS = 400
"""Characters shown of a message."""


def funnel(
    assigned: Sequence[str | Rejection],
    steps: Sequence[str],
    rows: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Count what each of `steps` left, in order, and pick examples from `rows`.

    `assigned` holds a split's name for a kept row and a Rejection for any other. The rejected
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
    turns = range(EXAMPLES)
    reasons = sorted(by_reason)
    rejected = [by_reason[r][turn] for turn in turns for r in reasons if turn < len(by_reason[r])]
    return {"kept": kept, "rejected": rejected[:EXAMPLES]}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    messages = [
        {"role": message["role"], "content": _clip(plain_text(message))}
        for message in row["messages"]
    ]
    return {"id": row["id"], "source": row.get("source"), "messages": messages}


def _clip(text: str) -> str:
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + " …"
