"""The settings of evaluators that score the rows of a data set which were not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Self

from storm_data.dataset import Dataset, DatasetSpec
from storm_evaluation.harness.cost import evaluation_cost
from storm_evaluation.model_checks import check_model
from storm_exp import Cost, InputError, SettingError, setting, value_digest
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.dtype import LoadedDtype

LOSS = "held_out_loss"
FEW = 12
"""Most rows of a rehearsal."""
_LONGER = 3
"""The longest rows are assumed to be this many times as long as the mean."""


@dataclasses.dataclass(kw_only=True)
class HeldOutRows:
    """Which rows are scored, and how they are read."""

    split: str = "validation"
    """The split of the data that is asked."""
    limit: int | None = setting(200, at_least=2)
    """The most rows of the split; null: all."""
    limit_seed: int | None = setting(None, neutral=None, at_least=0)
    """Seed by which `limit` draws rows, the same for every model, and those of a smaller limit
    among them; null: the first ones."""
    batch_size: int = setting(16, at_least=1)
    """Texts in one forward pass."""
    max_length: int | None = setting(None, at_least=2, unit="tokens")
    """Most tokens that are read at once."""
    dtype: LoadedDtype = LoadedDtype.auto
    """auto (as stored), float32, bfloat16 or float16."""

    def check(self, model: CheckpointSpec, data: DatasetSpec, *columns: str) -> None:
        """Check split, columns and the model's length.

        Raises SettingError, and InputError for rows of another kind.
        """
        check_model(model, self.max_length)
        if data.splits is not None and data.splits.get(self.split, [0, 0])[1] < 2:
            sizes = ", ".join(f"{name} at most {high}" for name, (_, high) in data.splits.items())
            raise SettingError(
                "split",
                self.split,
                f"needs at least 2 rows; the data set has: {sizes or 'none'}. Hold rows out "
                "(dataset.validation_rows=20), or end before it, as by targets=[finetuner]",
            )
        if data.columns and not set(columns) <= set(data.columns):
            raise InputError(
                f"the rows need the columns {', '.join(columns)}, and have "
                f"{', '.join(data.columns)}"
            )

    def rows(self, data: Dataset) -> Iterator[dict[str, Any]]:
        """Return the rows of the split, those first that are to be scored."""
        rows = data.rows(self.split)
        if self.limit is None or self.limit_seed is None:
            return rows
        # By content, so that the order of the rows does not matter.
        return iter(sorted(rows, key=lambda row: value_digest([self.limit_seed, row])))

    def described(self) -> dict[str, Any]:
        """Return which rows were scored, for the record."""
        drawn = self.limit is not None
        return {
            "split": self.split,
            "limit": self.limit,
            "limit_seed": self.limit_seed if drawn else None,
        }

    def rehearsal(self) -> Self:
        """Return a copy for a few rows."""
        few = FEW if self.limit is None else min(self.limit, FEW)
        return dataclasses.replace(self, limit=few)

    def estimate(
        self, model: CheckpointSpec, data: DatasetSpec, readings: float = 1.0
    ) -> Cost | None:
        """Estimate what it takes to read the rows so many times."""
        rows = (data.splits or {}).get(self.split, [0, 0])[1]
        read = min(rows, self.limit or rows) * (data.row_tokens or 0.0) * readings
        longest = (_LONGER * data.row_tokens,) if data.row_tokens else ()
        return evaluation_cost(
            model, self.batch_size, self.max_length, self.dtype, read or None, *longest
        )
