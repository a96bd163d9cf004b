"""The curator `keep_all`: a control arm that keeps every row."""

from __future__ import annotations

from storm_curation.selection.splitting import HeldOut, Splitting, curated_spec
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import StageContext, component


@component("curator", "keep_all", version=1)
class KeepAll(Splitting):
    """Keeps every row of the split `train`, and only splits."""

    def __post_init__(self) -> None:
        self.check_sizes()

    def plan_spec(self, data: DatasetSpec) -> DatasetSpec:
        """Return how the rows are split, where their number is known."""
        spec = curated_spec(self, data)
        if data.splits is not None and data.splits["train"][0] == data.splits["train"][1]:
            rows = data.splits["train"][0]
            train, validation = self.sizes(rows)
            rest = rows - train - validation
            spec.splits = {
                **(spec.splits or {}),
                "train": [train, train],
                "rejected": [rest, rest],
            }
            if self.held_out is HeldOut.kept:
                spec.splits["validation"] = [validation, validation]
        return spec

    def run(self, stage: StageContext, data: Dataset) -> Dataset:
        """Split the pool."""
        from storm_curation.selection.curated_dataset import divide

        return divide(self, stage, data, [None] * data.count("train"), ())
