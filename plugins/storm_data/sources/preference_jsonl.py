"""The component `preference_jsonl`: preferences, a JSON object per line or one JSON list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from storm_data.files.split_settings import grouped_splits
from storm_data.rows.preference import COLUMNS, PreferenceRows
from storm_data.rows.tool_form import ToolForm
from storm_data.sources.jsonl_source import JsonlSource
from storm_exp import component, setting
from storm_models.chat.tool_calls import CallSpelling


@component("dataset", "preference_jsonl", version=3)
class PreferenceJsonl(JsonlSource):
    """Preferences from a JSONL file, split into train and validation; bad rows are rejected.

    Rows are in the format of UltraFeedback, Orca pairs or TRL. A bad row is rejected with its line
    number and reason. Rows that share a prompt go to the same split.
    """

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    min_margin: float | None = setting(None, at_least=0)
    """Least score of the chosen answer minus that of the rejected one; other pairs are bad. Null:
    scores do not matter, and ties are counted."""

    source: str = "preference"
    """The source of rows that do not name one."""

    columns: ClassVar[list[str]] = COLUMNS

    def row_schema(self, fields: Mapping[str, str]) -> PreferenceRows:
        """Return the schema of rows."""
        return PreferenceRows(fields, self.tool_form, self.min_margin, self.call_spelling)

    def splits(self, rows: int) -> dict[str, list[int]]:
        """Return the sizes of the splits of `rows` rows, as intervals."""
        return grouped_splits(super().splits(rows), rows)
