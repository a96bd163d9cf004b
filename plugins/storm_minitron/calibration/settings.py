"""The settings of calibration, and their checks at plan time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Self

from storm_data.dataset import DatasetSpec
from storm_exp import Cost, SettingError, setting
from storm_inference.calibration.settings import SampleSettings
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.devices import has_gpu
from storm_models.dtype import Dtype
from storm_models.families.flops import Reading
from storm_models.families.support import check_changeable


@dataclasses.dataclass(kw_only=True)
class CalibrationSettings(SampleSettings):
    """Which rows are read, in what batches, and in what precision."""

    samples: int = setting(1024, at_least=1, unit="rows")
    """Rows to read, drawn from the split by the seed; all if there are fewer."""

    batch_size: int = setting(8, at_least=1, unit="rows")
    """Rows in a batch. A batch that is not full repeats a row, which is counted once."""

    pad_to_multiple_of: int = setting(64, at_least=1, unit="tokens")
    """Batches are padded to a multiple of this number of tokens."""

    dtype: Dtype = Dtype.float32
    """Precision of the forward passes: float32, bfloat16 or float16. Sums are float64."""

    def rehearsal(self) -> Self:
        """Return the settings for a few short rows."""
        return dataclasses.replace(
            super().rehearsal(),
            batch_size=min(self.batch_size, 4),
            dtype=self.dtype if has_gpu() else Dtype.float32,
        )

    def check(self, model: CheckpointSpec, data: DatasetSpec, split: str) -> None:
        """Raise for a model that cannot be pruned, or a data set without usable rows.

        Raises InputError or SettingError.
        """
        self.check_rows(model, data, split)
        if model.config is None:
            return
        check_changeable(model.config)
        positions = model.config.get("max_position_embeddings")
        if positions is not None and self.max_length > positions:
            raise SettingError(
                "max_length", self.max_length, f"the model has {positions} positions"
            )

    def check_finite(self, measured: Iterable[float]) -> None:
        """Raise SettingError for NaN or infinity in the measurements."""
        if not all(map(math.isfinite, measured)):
            raise SettingError(
                "dtype",
                self.dtype,
                "the hidden states hold NaN or infinity: either float16 overflows (use bfloat16 or "
                "float32), or the model's weights hold them",
            )

    def pass_cost(
        self,
        model: CheckpointSpec,
        data: DatasetSpec,
        split: str,
        passes: float = 1.0,
        heads: float = 0.0,
    ) -> Cost | None:
        """Return the cost of forward passes over the rows, with their declared lengths.

        `passes` is the number of passes through all layers, `heads` of those that compute logits,
        at most for every token (of chats, only answers are scored).
        """
        reading = self.reading(data, split, passes, heads)
        batch = Reading(self.batch_size * self.max_length, reading.context, 0)
        return inference_cost(model, reading, batch, dtype=self.dtype)
