"""The comparison of models on the same documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storm_evaluation.comparison.comparison import Comparison, ComparisonSpec
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.sample import MEASURES
from storm_exp import InputError, SettingError, StageContext, component, setting

if TYPE_CHECKING:
    from storm_evaluation.comparison.document_matching import MatchedTask
    from storm_evaluation.comparison.pairwise_differences import PairwiseDifferences


@component("comparison", "paired", version=5, requires=("numpy", "scipy"), extra="train")
class Paired:
    """Compares models, with paired differences to the first and between all pairs.

    With one run each, the result holds for these trained models only; with several runs of every
    arm, for the arms (docs/statistics.md).
    """

    confidence: float = setting(0.95, at_least=0.5, below=1)
    """Coverage of the intervals; 1 − confidence is the level of the tests."""
    runs: int = setting(1, neutral=1, at_least=1)
    """How many consecutive evaluations are runs of the same arm, in the order of their seeds."""
    margin: float = setting(0.02, neutral=0.02, above=0)
    """Differences within ± margin, in scores or nats, count as "no effect"."""
    measure: str = setting("", neutral="", one_of=("", *MEASURES))
    """What is compared in place of the tasks' scores: log_likelihood (of the right answer, in nats)
    or probability (of the right choice among the choices), which show smaller effects. Tasks
    without it are left out. Empty: the scores."""
    resamples: int = setting(4000, at_least=100)
    """Bootstrap resamples, and sign flips of the permutation test, for single runs."""
    seed: int = 0
    """Seed of the resampling, independent of the run's seed."""

    def plan_spec(self, evaluations: list[EvaluationSpec]) -> ComparisonSpec:
        """Check that the evaluations have the same tasks, as far as they are known."""
        known = [(p, e.tasks) for p, e in enumerate(evaluations) if e.tasks is not None]
        for position, tasks in known:
            if set(tasks) != set(known[0][1]):
                raise InputError(
                    f"evaluations {known[0][0]} and {position} (counted from 0) are over different "
                    f"tasks: {', '.join(known[0][1])} and {', '.join(tasks)}"
                )
        if len(evaluations) % self.runs or len(evaluations) == self.runs > 1:
            problem = f"{len(evaluations)} evaluations are not two or more arms of this many runs"
            raise SettingError("runs", self.runs, problem)
        return ComparisonSpec(
            models=len(evaluations) // self.runs,
            tasks=list(known[0][1]) if known and not self.measure else None,
        )

    def run(self, stage: StageContext, evaluations: list[Evaluation]) -> Comparison:
        """Match the evaluations' documents and compare."""
        from storm_evaluation.comparison.document_matching import match_documents

        matched = match_documents(evaluations, self.measure)
        if left_out := sorted(set(evaluations[0].summary()["tasks"]) - {t.name for t in matched}):
            stage.say(f"not compared, as they have no {self.measure}: {', '.join(left_out)}")
        content = self.compare(matched)
        comparison = Comparison(stage.directory)
        comparison.write(content)
        if content["mean"] is not None:
            mean = f"mean_{self.measure or 'score'}"
            stage.metric(f"best_{mean}", content["mean"][content["best"]]["score"], main=True)
            stage.metric("best_position", content["best"])
            for position, cell in enumerate(content["mean"]):
                stage.metric(f"{mean}/{position}", cell["score"])
            for entry in content["against_first"]:
                stage.metric(f"gain/{entry['second']}", entry["mean"]["difference"])
                if entry["loss"]:
                    stage.metric(f"loss_gain/{entry['second']}", entry["loss"]["difference"])
        return comparison

    def compare(self, tasks: Sequence[MatchedTask], *, every_pair: bool = True) -> dict[str, Any]:
        """Return the contents of comparison.json; `pairs` may be left empty."""
        return self.differences(tasks).describe(every_pair=every_pair)

    def differences(self, tasks: Sequence[MatchedTask]) -> PairwiseDifferences:
        """Return what estimates differences between the models, or between arms of several runs."""
        from storm_evaluation.comparison.one_run import OneRun
        from storm_evaluation.comparison.pairwise_differences import Estimator, PairwiseDifferences
        from storm_evaluation.comparison.several_runs import SeveralRuns

        estimator: Estimator
        if self.runs == 1:
            estimator = OneRun(
                tasks, confidence=self.confidence, resamples=self.resamples, seed=self.seed
            )
        else:
            estimator = SeveralRuns(tasks, runs=self.runs, confidence=self.confidence)
        return PairwiseDifferences(
            tasks,
            estimator,
            confidence=self.confidence,
            margin=self.margin,
            settings=dataclasses.asdict(self),
        )
