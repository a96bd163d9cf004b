"""Which rows entered and left a data set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from storm_data.dataset import Dataset

_CONTENT = ("messages", "text", "prompt", "chosen", "rejected", "tools")
"""Columns that a row is the same by; others are what stages noted on it."""
_EXAMPLES, _LONGEST = 3, 160


@dataclasses.dataclass(frozen=True)
class RowChanges:
    """The rows of a split on two sides."""

    label: str
    split: str
    first: int
    second: int
    left: int
    """Rows of the first that the second lacks; a row that occurs twice counts twice."""
    entered: int
    examples_left: list[str]
    examples_entered: list[str]


def row_changes(label: str, first: Path, second: Path) -> list[RowChanges]:
    """Return the splits whose rows differ; raises InputError, or OSError, for unreadable ones."""
    before, after = Dataset(first), Dataset(second)
    found = []
    for split in sorted({*before.splits(), *after.splits()}):
        counts = [_counts(each, split) for each in (before, after)]
        left, entered = counts[0] - counts[1], counts[1] - counts[0]
        if not left and not entered:
            continue
        found.append(
            RowChanges(
                label,
                split,
                counts[0].total(),
                counts[1].total(),
                left.total(),
                entered.total(),
                _examples(before, split, left),
                _examples(after, split, entered),
            )
        )
    return found


def _counts(data: Dataset, split: str) -> Counter[bytes]:
    return Counter(map(_digest, data.rows(split))) if split in data.splits() else Counter()


def _digest(row: dict[str, Any]) -> bytes:
    content = {name: row[name] for name in _CONTENT if row.get(name) is not None}
    text = json.dumps(content or row, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _examples(data: Dataset, split: str, wanted: Counter[bytes]) -> list[str]:
    """Return the first rows among `wanted`, each once, as short texts."""
    shown: dict[bytes, str] = {}
    for row in data.rows(split) if wanted else ():
        if (digest := _digest(row)) in wanted:
            shown.setdefault(digest, _shown(row))
        if len(shown) == _EXAMPLES:
            break
    return list(shown.values())


def _shown(row: dict[str, Any]) -> str:
    turns = row.get("messages") or row.get("prompt")
    if isinstance(turns, list):
        text = " | ".join(f"{turn.get('role')}: {turn.get('content')}" for turn in turns)
    else:
        text = str(row.get("text") or turns or row)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
