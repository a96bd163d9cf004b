"""The funnel of a data set: how many rows were read, rejected and remarked on, with examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

DUPLICATE = "duplicate"
"""The reason for rejecting a row that came before, which is no fault of the row."""
EXCLUDED = "excluded by "
"""The beginning of the reason for a row that a setting excluded; the column's name follows."""

_MOST_REMARKS = 100
_OTHER_REMARKS = "unused: further columns"
_EXAMPLES = 5


class Funnel:
    """Counts of rows by reason and by remark, and the first rejected rows of each reason."""

    def __init__(self) -> None:
        """Start with no rows."""
        self.read = 0
        self.reasons: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []

    def accept(self, remarks: Collection[str]) -> None:
        """Count a good row and its remarks, of which a limited number of kinds is kept."""
        self.read += 1
        full = len(self.remarks) >= _MOST_REMARKS
        self.remarks.update(
            {remark if remark in self.remarks or not full else _OTHER_REMARKS for remark in remarks}
        )

    def reject(self, row: Mapping[str, Any]) -> None:
        """Count a rejected row, {line, reason, detail, source, text}, and keep the first ones."""
        self.read += 1
        self.reasons[row["reason"]] += 1
        if self.reasons[row["reason"]] <= _EXAMPLES:
            shown = {name: row[name] for name in ("line", "reason", "detail", "source")}
            self.examples.append({**shown, "text": row["text"][:300]})

    @property
    def bad(self) -> int:
        """The number of rows that cannot be used, without duplicates and excluded rows."""
        return sum(
            count
            for reason, count in self.reasons.items()
            if reason != DUPLICATE and not reason.startswith(EXCLUDED)
        )

    def reason_counts(self) -> str:
        """Return the reasons with their counts, most frequent first, for people."""
        return ", ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common())

    def remark_counts(self) -> str:
        """Return the remarks with their counts, most frequent first, for people."""
        return ", ".join(f"{remark}: {count}" for remark, count in self.remarks.most_common())

    def write(self, directory: Path, splits: Mapping[str, int]) -> None:
        """Write `funnel.json`, which the report shows; `splits` are the rows per split."""
        funnel = {
            "read": self.read,
            "splits": splits,
            "rejected": dict(sorted(self.reasons.items())),
            "remarks": dict(sorted(self.remarks.items())),
            "examples": self.examples,
        }
        text = json.dumps(funnel, indent=1, ensure_ascii=False) + "\n"
        (directory / "funnel.json").write_text(text, encoding="utf-8")
