"""The curator `highest_value`: the best rows within a budget."""

from __future__ import annotations

import dataclasses
from collections import Counter

from storm_curation.curators.thresholds import Thresholds
from storm_curation.judge.scores import EDUCATION, Scores, ScoresSpec
from storm_curation.selection.splitting import HeldOut, curated_spec
from storm_curation.selection.verdict import THRESHOLD_STEPS, Verdict, count_kept
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import InputError, Rehearsed, SettingError, StageContext, component

_BUDGET = 48
"""The most rows of a rehearsal's budget."""


@component("curator", "highest_value", version=1)
class HighestValue(Thresholds):
    """Keeps the `train_rows` rows, and those for validation, of the highest educational value.

    Rows that pass the thresholds are ranked by the mean of the judge's labels, weighted by their
    probabilities, which seldom ties. The rows held back for validation are drawn at random.
    """

    by_source: bool = True
    """Give every source of the pool the same budget; what a small one leaves goes to the others."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if self.train_rows is None:
            problem = "is the budget and needs a number (for thresholds alone: curator=thresholds)"
            raise SettingError("train_rows", self.train_rows, problem)

    def rehearsal(  # type: ignore[override]  # as that of Thresholds
        self, scores: Rehearsed[ScoresSpec]
    ) -> HighestValue:
        """Return a copy with a budget that the few rows exceed."""
        assert self.train_rows is not None
        few = min(self.train_rows, _BUDGET)
        return dataclasses.replace(super().rehearsal(scores), train_rows=few)

    def plan_spec(self, data: DatasetSpec, scores: ScoresSpec) -> DatasetSpec:
        """Return the splits with at most the budget; raises InputError without a source column."""
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
        """Rank the rows that pass the thresholds, and keep the best."""
        from storm_curation.selection.curated_dataset import divide, scores_of_rows
        from storm_curation.selection.ranking import keep_best, share_out

        self.check_scales(scores.spec())
        verdicts: list[Verdict] = []
        values: list[float] = []
        for row in scores_of_rows(data, scores):
            verdicts.append(self.verdict(row))
            values.append(row[f"{EDUCATION}_expected"] if row and verdicts[-1] is None else 0.0)
        if passed := count_kept(verdicts):
            sources = [""] * len(verdicts)
            if self.by_source:
                sources = [n or "" for n in data.table("train").column("source").to_pylist()]
            by_source_verdicts = zip(sources, verdicts, strict=True)
            counts = Counter(source for source, verdict in by_source_verdicts if verdict is None)
            budgets = share_out(sum(self.sizes(passed)), counts)
            shares = (f"{name or 'all'}: {n} of {counts[name]}" for name, n in budgets.items())
            stage.say(", ".join(shares))
            order = self.draw_order(len(verdicts))
            verdicts = keep_best(verdicts, values, sources, order, budgets)
        return divide(self, stage, data, verdicts, (*THRESHOLD_STEPS, "value"))
