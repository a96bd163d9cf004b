"""The curator `thresholds`: rows by the judge's labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from storm_curation.judge.scores import DIFFICULTY, EDUCATION, Scores, ScoresSpec
from storm_curation.selection.splitting import Splitting, curated_spec
from storm_curation.selection.verdict import (
    THRESHOLD_STEPS,
    EducationBy,
    Verdict,
    weigh_row,
)
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Rehearsed, SettingError, StageContext, component, did_you_mean, setting


@component("curator", "thresholds", version=1)
class Thresholds(Splitting):
    """Keeps rows of sufficient educational value and difficulty; unjudged rows are rejected.

    Selects from the split `train`. The split `rejected` holds the other rows with their reasons.
    The data's own `validation` is read only with held_out=data.
    """

    min_education: float = 3.0
    """The lowest educational value to keep."""
    education_by: EducationBy = EducationBy.most_probable
    """The judge's number that is used as the educational value."""
    difficulties: list[str] = setting(["medium", "hard"])
    """The difficulties to keep, by the most probable label."""
    min_label_mass: float = setting(0.0, at_least=0, at_most=1)
    """The lowest label mass of each question that counts as a judgement; 0: any."""
    expected_share: float = setting(1.0, semantic=False, at_least=0, at_most=1)
    """Expected share of kept rows, for estimates of costs."""

    def __post_init__(self) -> None:
        self.check_sizes()
        if not self.difficulties:
            raise SettingError(
                "difficulties", self.difficulties, "would keep no row: name at least one"
            )

    def rehearsal(  # type: ignore[override]  # the engine passes what the signature names
        self, scores: Rehearsed[ScoresSpec]
    ) -> Self:
        """Return a copy with thresholds that every judged row passes: twins judge at random."""
        scales = scores.real.scales or {}
        known = scales.get(DIFFICULTY, self.difficulties)
        lowest = min((float(label) for label in scales.get(EDUCATION, [])), default=0.0)
        return dataclasses.replace(
            super().rehearsal(),
            min_education=min(self.min_education, lowest),
            difficulties=list(dict.fromkeys([*self.difficulties, *known])),
            min_label_mass=0.0,
        )

    def not_rehearsed(self) -> list[str]:
        """Return what a rehearsal with random judgements does not test."""
        return ["the curator's thresholds: how many rows they leave"]

    def check_scales(self, scores: ScoresSpec) -> None:
        """Raise SettingError for thresholds outside the judge's scales, where these are known."""
        if scores.scales is None:
            return
        values = [float(label) for label in scores.scales[EDUCATION]]
        if not min(values) <= self.min_education <= max(values):
            problem = f"is outside the judge's scale from {min(values):g} to {max(values):g}"
            raise SettingError("min_education", self.min_education, problem)
        known = scores.scales[DIFFICULTY]
        for difficulty in self.difficulties:
            if difficulty not in known:
                problem = "the judge has no such difficulty" + did_you_mean(difficulty, known)
                raise SettingError("difficulties", difficulty, problem)

    def plan_spec(self, data: DatasetSpec, scores: ScoresSpec) -> DatasetSpec:
        """Check the thresholds against the judge's scales."""
        self.check_scales(scores)
        return curated_spec(self, data, self.expected_share)

    def run(self, stage: StageContext, data: Dataset, scores: Scores) -> Dataset:
        """Apply the thresholds and split the kept rows."""
        from storm_curation.selection.curated_dataset import divide, scores_of_rows

        self.check_scales(scores.spec())
        verdicts = [self.verdict(row) for row in scores_of_rows(data, scores)]
        return divide(self, stage, data, verdicts, THRESHOLD_STEPS)

    def verdict(self, row: Mapping[str, Any] | None) -> Verdict:
        """Apply the thresholds to a row of scores; None is a row that was not judged."""
        return weigh_row(
            row,
            min_education=self.min_education,
            education_by=self.education_by,
            difficulties=self.difficulties,
            min_label_mass=self.min_label_mass,
        )
