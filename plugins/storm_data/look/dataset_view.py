"""The view of data sets: Parquet files named by split."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_data.dataset import Dataset
from storm_data.look.row_examples import RowExamples
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_report.look.listing import Example, Listing, Part
from storm_report.look.view import Choice, Subject

_REJECTED = "rejected"
_TRAIN = "train"


class DatasetView:
    """Shows the rows of a split, or those that were rejected, with the reasons."""

    together = False

    def opens(self, place: Path) -> bool:
        """Return whether the folder has the split `train`."""
        return (place / f"{_TRAIN}.parquet").is_file()

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of the data set; raises InputError for an unknown split."""
        (subject,) = subjects
        data = Dataset(subject.place)
        rows = RowExamples(Checkpoint(choice.model.place) if choice.model else None)
        split = _REJECTED if choice.dropped else choice.split
        none = choice.dropped and not data.count(_REJECTED)
        found = iter(()) if none else itertools.islice(data.rows(split), choice.first, None)
        counts = ", ".join(f"{name} {data.count(name):,}" for name in data.splits())
        return Listing(
            f"{subject.name} · {split}",
            [f"rows: {counts}"],
            (
                rejected(row, rows, number) if choice.dropped else rows.example(row, number)
                for number, row in enumerate(found, start=choice.first + 1)
            ),
            _reasons(subject.place),
            "" if choice.dropped else rows.legend,
        )


def rejected(row: dict[str, Any], rows: RowExamples, number: int) -> Example:
    """Return a rejected row: its text as it was read, or its content if it was understood."""
    reason = ": ".join(str(row[name]) for name in ("reason", "detail") if row.get(name))
    example = rows.example(row, number, reason)
    if row.get("line"):
        example = Example(f"{example.title} · line {row['line']}", example.parts, reason)
    if row.get("text") and not (row.get("messages") or row.get("chosen")):
        example = Example(example.title, [Part.of_text("as read", str(row["text"]))], reason)
    return example


def _reasons(folder: Path) -> dict[str, int]:
    """Return the rejected rows by reason, as the data set's funnel counted them."""
    file = folder / "funnel.json"
    if not file.is_file():
        return {}
    funnel = json.loads(file.read_text(encoding="utf-8"))
    counts: dict[str, int] = dict(funnel.get(_REJECTED) or {})
    for step in funnel.get("steps") or []:
        for reason, count in step[_REJECTED].items():
            counts[reason] = counts.get(reason, 0) + count
    return {reason: count for reason, count in counts.items() if count}
