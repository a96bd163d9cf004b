"""Which rows are read for calibration, and their checks at plan time."""

from __future__ import annotations

import dataclasses
from typing import Self

from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError, check_bounds, setting
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.families.flops import Reading
from storm_models.families.model_config import ModelConfig

_SAMPLES, _TOKENS = 8, 256
"""Most rows of a rehearsal, and most tokens of a row."""


@dataclasses.dataclass(kw_only=True)
class SampleSettings:
    """Which rows are read: chats in the model's template, or documents."""

    samples: int = setting(512, at_least=1, unit="rows")
    """Rows to read, drawn from the split by the seed; all if there are fewer."""

    max_length: int = setting(2048, at_least=2, unit="tokens")
    """Most tokens of a row."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        check_bounds(self)

    def rehearsal(self) -> Self:
        """Return the settings for a few short rows."""
        return dataclasses.replace(
            self,
            samples=min(self.samples, _SAMPLES),
            max_length=min(self.max_length, _TOKENS),
        )

    def fitting(self, config: ModelConfig | None) -> Self:
        """Return the settings with rows that are no longer than the model's positions."""
        positions = (config or {}).get("max_position_embeddings") or self.max_length
        return dataclasses.replace(self, max_length=min(self.max_length, positions))

    def check_rows(self, model: CheckpointSpec, data: DatasetSpec, split: str) -> None:
        """Raise InputError or SettingError for a data set without rows that the model can read."""
        if data.splits is not None and data.splits.get(split, [0, 0])[1] < 1:
            names = ", ".join(data.splits) or "none"
            raise SettingError("split", split, f"the data set has no such rows (splits: {names})")
        chats = data.columns is None or "messages" in data.columns
        if data.columns is not None and not chats and "text" not in data.columns:
            raise InputError(
                "rows for calibration need a column `messages` or `text`; these have "
                f"{', '.join(data.columns)}"
            )
        if chats and data.columns is not None:
            check_template(model, "the rows are chats")

    def reading(
        self, data: DatasetSpec, split: str, passes: float = 1.0, heads: float = 0.0
    ) -> Reading:
        """Return what is read, by the rows' declared lengths.

        `passes` is the number of passes through all layers, `heads` of those that compute logits,
        at most for every token.
        """
        rows = min(self.samples, (data.splits or {}).get(split, [0, self.samples])[1])
        length = min(data.row_tokens or self.max_length, self.max_length)
        tokens = rows * length
        return Reading(tokens * passes, length, tokens * heads)
