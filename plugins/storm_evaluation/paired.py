"""The comparison of models on the same documents."""

from __future__ import annotations

from storm_evaluation.comparison import Comparison, ComparisonForecast
from storm_evaluation.evaluation import Evaluation, EvaluationForecast
from storm_exp import InputError, SettingError, Stage, component


@component("comparison", "paired", version=1, requires=("numpy",), extra="train")
class Paired:
    """Put models side by side, with paired differences to the first and between all."""

    confidence: float = 0.95
    """Coverage of the intervals; 1 − confidence is the level of the tests."""
    resamples: int = 4000
    """Bootstrap resamples, and random sign flips of the permutation test."""
    seed: int = 0
    """Of its own, not the run's: statistics are no part of what a run's seed repeats."""

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0.5 <= self.confidence < 1:
            raise SettingError("confidence", self.confidence, "must lie between 0.5 and 1")
        if self.resamples < 100:
            raise SettingError("resamples", self.resamples, "must be at least 100")

    def forecast(self, evaluations: list[EvaluationForecast]) -> ComparisonForecast:
        """Check that the evaluations are over the same tasks, as far as is known."""
        known = [(p, e.tasks) for p, e in enumerate(evaluations) if e.tasks is not None]
        for position, tasks in known:
            if set(tasks) != set(known[0][1]):
                raise InputError(
                    f"evaluations {known[0][0]} and {position} (counted from 0) are over different "
                    f"tasks: {', '.join(known[0][1])} and {', '.join(tasks)}"
                )
        return ComparisonForecast(
            models=len(evaluations), tasks=list(known[0][1]) if known else None
        )

    def run(self, stage: Stage, evaluations: list[Evaluation]) -> Comparison:
        """Align the evaluations and compare."""
        from storm_evaluation.alignment import align
        from storm_evaluation.contrast import Contrast

        tasks = align(evaluations)
        contrast = Contrast(
            tasks, confidence=self.confidence, resamples=self.resamples, seed=self.seed
        )
        content = contrast.describe()
        comparison = Comparison(stage.directory)
        comparison.write(content)
        if content["mean"] is not None:
            stage.metric("best_mean_score", content["mean"][content["best"]]["score"], main=True)
            stage.metric("best_position", content["best"])
            for position, cell in enumerate(content["mean"]):
                stage.metric(f"mean_score/{position}", cell["score"])
            for entry in content["against_first"]:
                stage.metric(f"gain/{entry['second']}", entry["mean"]["difference"])
        return comparison
