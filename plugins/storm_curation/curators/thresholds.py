"""Selecting by what the judge said."""

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
    """Keeps rows that teach enough and are hard enough; a row without a judgement is not kept.

    Selects from the split `train` of the data. `rejected` holds every row that was turned away,
    with its reason. The data's own `validation` is read with held_out=data only.
    """

    min_education: float = 3.0
    """The least educational value that is kept."""
    education_by: EducationBy = EducationBy.most_probable
    """Which number of the judge's counts as the educational value."""
    difficulties: list[str] = setting(["medium", "hard"])
    """The difficulties that are kept, by the most probable label."""
    min_label_mass: float = setting(0.0, at_least=0, at_most=1)
    """The least label mass, for each question, that counts as a judgement; 0 asks for none."""
    expected_share: float = setting(1.0, semantic=False, at_least=0, at_most=1)
    """Share of the rows that is expected to be kept: lets a plan forecast costs."""

    def __post_init__(self) -> None:
        self.check_sizes()
        if not self.difficulties:
            raise SettingError(
                "difficulties", self.difficulties, "keeps nothing: name at least one"
            )

    def rehearsal(  # type: ignore[override]  # the engine gives what a signature asks for
        self, scores: Rehearsed[ScoresSpec]
    ) -> Self:
        """Return the same with thresholds that every judged row passes: twins judge at random."""
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
        """Return what random judgements do not show."""
        return ["the curator's thresholds: how many rows they leave"]

    def check_scales(self, scores: ScoresSpec) -> None:
        """Raise SettingError for thresholds outside the judge's scales, where these are known."""
        if scores.scales is None:
            return
        values = [float(label) for label in scores.scales[EDUCATION]]
        if not min(values) <= self.min_education <= max(values):
            problem = f"the judge's scale goes from {min(values):g} to {max(values):g}"
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
        """Apply the thresholds and split what is kept."""
        from storm_curation.selection.curated_dataset import divide, scores_of_rows

        self.check_scales(scores.spec())
        verdicts = [self.verdict(row) for row in scores_of_rows(data, scores)]
        return divide(self, stage, data, verdicts, THRESHOLD_STEPS)

    def verdict(self, row: Mapping[str, Any] | None) -> Verdict:
        """Apply the thresholds to a row of scores, None where the judge never saw the row."""
        return weigh_row(
            row,
            min_education=self.min_education,
            education_by=self.education_by,
            difficulties=self.difficulties,
            min_label_mass=self.min_label_mass,
        )
