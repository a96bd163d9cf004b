"""The curator `random_subset`: a control arm of as many rows, drawn at random."""

from __future__ import annotations

from storm_curation.curators.thresholds import Thresholds
from storm_curation.judge.scores import Scores
from storm_curation.selection.verdict import Rejection, count_kept
from storm_data.dataset import Dataset
from storm_exp import StageContext, component


@component("curator", "random_subset", version=1)
class RandomSubset(Thresholds):
    """Keeps as many rows as `thresholds` would with the same settings, drawn at random."""

    def run(self, stage: StageContext, data: Dataset, scores: Scores) -> Dataset:
        """Count the rows that the thresholds keep, and draw as many from the whole pool."""
        from storm_curation.selection.curated_dataset import divide, scores_of_rows

        self.check_scales(scores.spec())
        passed = [self.verdict(row) for row in scores_of_rows(data, scores)]
        count = count_kept(passed)
        wanted = sum(self.sizes(count)) if count else 0
        drawn = set(self.draw_order(len(passed))[:wanted])
        missed = Rejection("drawn", "not drawn")
        verdicts = [None if index in drawn else missed for index in range(len(passed))]
        return divide(self, stage, data, verdicts, ("drawn",))
