"""The control arm of a curation: as many rows, but any."""

from __future__ import annotations

from storm_curation.curators.thresholds import Thresholds
from storm_curation.judge.scores import Scores
from storm_data.dataset import Dataset
from storm_exp import StageContext, component


@component("curator", "random_subset", version=1, requires=("pyarrow",), extra="train")
class RandomSubset(Thresholds):
    """Keeps as many rows as `thresholds` would with the same settings, drawn at random."""

    def run(self, stage: StageContext, data: Dataset, scores: Scores) -> Dataset:
        """Count what the thresholds keep, and draw as many from the whole pool."""
        from storm_curation.selection.selection import select_at_random

        return select_at_random(self, stage, data, scores)
