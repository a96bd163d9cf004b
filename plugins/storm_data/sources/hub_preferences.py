"""The component `hub_preferences`: preference data sets of the hub, or folders, as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from storm_data.files.split_settings import grouped_splits
from storm_data.rows.preference import COLUMNS, PreferenceRows
from storm_data.rows.tool_form import ToolForm
from storm_data.sources.hub_source import HubSource
from storm_exp import SettingError, component, setting
from storm_models.chat.tool_calls import CallSpelling


@component(
    "dataset", "hub_preferences", version=3, requires=("datasets", "pyarrow"), extra="evaluate"
)
class HubPreferences(HubSource):
    """Preferences from the hub or from folders, concatenated in one format.

    Only the named splits are read, and held-out rows are never trained on: rows that share a prompt
    go to the same split. Bad rows and duplicates are rejected with their reason.
    """

    training_splits: dict[str, str] = setting({})
    """The training split by source name, where it is not `split`: UltraFeedback's is
    `train_prefs`."""

    validation_splits: dict[str, str] = setting({})
    """The split to hold out, by source name. If any is named, no training rows are held out."""

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    min_margin: float | None = setting(None, at_least=0)
    """Least score of the chosen answer minus that of the rejected one; other pairs are bad. Null:
    scores do not matter, and ties are counted."""

    columns: ClassVar[list[str]] = COLUMNS
    by_source: ClassVar[tuple[str, ...]] = (
        *HubSource.by_source,
        "training_splits",
        "validation_splits",
    )

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if self.validation_splits and self.validation_rows:
            problem = "cannot be set together with validation_splits, which name what is held out"
            raise SettingError("validation_rows", self.validation_rows, problem)
        for name, split in self.validation_splits.items():
            if split == self.training_splits.get(name, self.split):
                problem = f"is also the training split of '{name}'"
                raise SettingError("validation_splits", split, problem)

    def row_schema(self, fields: Mapping[str, str]) -> PreferenceRows:
        """Return the schema of rows."""
        return PreferenceRows(fields, self.tool_form, self.min_margin, self.call_spelling)

    def parts(self, name: str) -> list[tuple[str, bool]]:
        """Return the splits of a source to read, and whether each is held out."""
        parts = [(self.training_splits.get(name, self.split), False)]
        if name in self.validation_splits:
            parts.append((self.validation_splits[name], True))
        return parts

    def splits(self, rows: int) -> dict[str, list[int]]:
        """Return the sizes of the splits of `rows` training rows, as intervals.

        Named validation splits are assumed to be no larger than the training rows.
        """
        if self.validation_splits:
            return {"train": [1, rows], "validation": [0, rows], "rejected": [0, 2 * rows - 1]}
        return grouped_splits(super().splits(rows), rows)
