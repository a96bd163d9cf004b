"""The control arm of a curation: everything."""

from __future__ import annotations

from storm_curation.selection.splitting import HeldOut, Splitting, curated_forecast
from storm_data.dataset import Dataset, DatasetForecast
from storm_exp import Stage, component


@component("curator", "whole_pool", version=1, requires=("pyarrow",), extra="train")
class WholePool(Splitting):
    """Keeps every row of the split `train`, and only splits."""

    def __post_init__(self) -> None:
        self.check_sizes()

    def forecast(self, data: DatasetForecast) -> DatasetForecast:
        """Say how the rows are split, where their number is known."""
        forecast = curated_forecast(self, data)
        if data.splits is not None and data.splits["train"][0] == data.splits["train"][1]:
            rows = data.splits["train"][0]
            train, validation = self.sizes(rows)
            rest = rows - train - validation
            forecast.splits = {
                **(forecast.splits or {}),
                "train": [train, train],
                "rejected": [rest, rest],
            }
            if self.held_out is HeldOut.kept:
                forecast.splits["validation"] = [validation, validation]
        return forecast

    def run(self, stage: Stage, data: Dataset) -> Dataset:
        """Split the pool."""
        from storm_curation.selection.selection import select_everything

        return select_everything(self, stage, data)
