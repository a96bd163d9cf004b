"""Selecting to a budget of examples."""

from __future__ import annotations

import dataclasses

from storm_curation.curators.thresholds import Thresholds
from storm_curation.judge.scores import Scores, ScoresSpec
from storm_curation.selection.splitting import HeldOut, curated_spec
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import InputError, Rehearsed, SettingError, StageContext, component

_BUDGET = 48
"""Rows of a rehearsal's budget, at most."""


@component("curator", "highest_value", version=1, requires=("pyarrow",), extra="train")
class HighestValue(Thresholds):
    """Keeps the `train_rows` rows, and those for validation, of the highest educational value.

    Rows that pass the thresholds are ranked by the mean of the judge's labels, weighted by their
    probabilities: finer than a label, and so hardly ever tied. Which of the kept rows are held back
    is drawn at random.
    """

    by_source: bool = True
    """Give every source of the pool the same budget, and what a small one leaves to the others."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if self.train_rows < 1:
            problem = "is the budget, and must be at least 1 (thresholds alone: curator=thresholds)"
            raise SettingError("train_rows", self.train_rows, problem)

    def rehearsal(self, scores: Rehearsed[ScoresSpec]) -> HighestValue:
        """Return the same with a budget that the few rows exceed."""
        few = min(self.train_rows, _BUDGET)
        return dataclasses.replace(super().rehearsal(scores), train_rows=few)

    def plan_spec(self, data: DatasetSpec, scores: ScoresSpec) -> DatasetSpec:
        """Forecast at most the budget; raises InputError where sources are not told apart."""
        self.check_scales(scores)
        if self.by_source and data.columns is not None and "source" not in data.columns:
            raise InputError("by_source=true needs data with a column 'source'")
        spec = curated_spec(self, data, self.expected_share)
        if spec.splits is not None and data.splits is not None:
            most = self.sizes(data.splits["train"][1])
            spec.splits["train"][1] = most[0]
            if self.held_out is HeldOut.kept:
                spec.splits["validation"][1] = most[1]
        return spec

    def run(self, stage: StageContext, data: Dataset, scores: Scores) -> Dataset:
        """Rank what passes the thresholds, and keep the best."""
        from storm_curation.selection.ranking import select_best

        return select_best(self, stage, data, scores)
