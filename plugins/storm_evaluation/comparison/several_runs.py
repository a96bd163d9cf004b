"""Inference over runs and questions, for arms that were trained several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison.document_matching import MatchedTask
from storm_evaluation.comparison.inference import (
    Contrast,
    Family,
    pseudo_scores,
    question_variance,
    spread,
)
from storm_evaluation.comparison.pairwise_differences import Cell, widened
from storm_evaluation.comparison.significance import Floats, effective_questions

TEST = "runs_and_questions"


class SeveralRuns:
    """Inference over runs and questions crossed; seeds are blocks, the same in every arm."""

    def __init__(self, tasks: Sequence[MatchedTask], *, runs: int, confidence: float) -> None:
        """Take `runs` consecutive rows as the runs of an arm, in the order of their seeds."""
        self._level, self.runs = 1 - confidence, runs
        self.models = tasks[0].scores_MN.shape[0] // runs
        self._scores = {task.name: self._by_run(task) for task in tasks}

    def score(self, tasks: Sequence[MatchedTask], model: int) -> Cell:
        """Return the mean over runs and tasks, its standard error, and the score of each run."""
        scores = [self._scores[task.name][model] for task in tasks]
        by_run = sum(task.mean(-1) for task in scores) / len(scores)
        of_questions = sum(question_variance(task) for task in scores) / len(scores) ** 2
        variance = np.var(by_run, ddof=1) / self.runs + max(float(of_questions), 0.0)
        return {
            "score": float(np.mean(by_run)),
            "stderr": float(np.sqrt(variance)),
            "by_run": [float(value) for value in np.asarray(by_run)],
        }

    def difference(self, tasks: Sequence[MatchedTask], contrast: Contrast, family: Family) -> Cell:
        """Return a contrast of means over runs and tasks."""
        scores = [self._scores[task.name] for task in tasks]
        estimate = spread(scores, [contrast])
        (difference,) = estimate.difference
        (half,) = estimate.half_width(self._level)
        (narrow,) = estimate.half_width(2 * self._level)
        effective = min(effective_questions(task.weights_MN) for task in tasks)
        questions = min(estimate.fewest, len(tasks) * effective)
        (simultaneous,) = estimate.simultaneous_half_width(self._level, family)
        return {
            "difference": float(difference),
            "low": float(difference - half),
            "high": float(difference + half),
            "together": [float(difference - simultaneous), float(difference + simultaneous)],
            "equivalence": widened(
                float(difference), float(difference - narrow), float(difference + narrow), questions
            ),
            "p": float(estimate.p_values()[0]),
            "test": TEST,
        }

    def _by_run(self, task: MatchedTask) -> Floats:
        scores = pseudo_scores(task.scores_MN, task.weights_MN)
        return scores.reshape(self.models, self.runs, -1)
