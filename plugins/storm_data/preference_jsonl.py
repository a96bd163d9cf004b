"""The component `preference_jsonl`: a file of preferences, a JSON object per line."""

from __future__ import annotations

from typing import ClassVar

from storm_data.jsonl_source import JsonlSource
from storm_data.limits import by_groups
from storm_data.preference import COLUMNS, PreferenceRows
from storm_exp import component


@component("dataset", "preference_jsonl", version=1, requires=("pyarrow",), extra="train")
class PreferenceJsonl(JsonlSource):
    """Preferences from a JSONL file, split into train and validation; bad rows are kept apart.

    Rows are in UltraFeedback's form, Orca pairs' or TRL's. A bad row is rejected with its line
    number and reason. Rows that share a prompt go to the same split.
    """

    source: str = "preference"
    """The source of rows that name none."""

    columns: ClassVar[list[str]] = COLUMNS

    def form(self) -> PreferenceRows:
        """Return how a row is read."""
        return PreferenceRows()

    def splits(self, rows: int) -> dict[str, list[int]]:
        """Return what becomes of `rows` rows, as intervals."""
        return by_groups(super().splits(rows), rows)
