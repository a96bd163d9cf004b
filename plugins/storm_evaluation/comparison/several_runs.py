"""Inference over runs and questions, for arms that were trained several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison.document_matching import MatchedTask
from storm_evaluation.comparison.inference import (
    Contrast,
    Family,
    Spread,
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
        effective = min(effective_questions(task.weights_MN) for task in tasks)
        found = estimates(self.spread(tasks, [contrast]), self._level, family, effective)
        return {name: values[0].tolist() for name, values in found.items()} | {"test": TEST}

    def spread(self, tasks: Sequence[MatchedTask], contrasts: Sequence[Contrast]) -> Spread:
        """Return the spread of contrasts of means over runs and tasks."""
        return spread([self._scores[task.name] for task in tasks], contrasts)

    def _by_run(self, task: MatchedTask) -> Floats:
        scores = pseudo_scores(task.scores_MN, task.weights_MN)
        return scores.reshape(self.models, self.runs, -1)


def estimates(
    spread: Spread, level: float, family: Family, effective: float = np.inf
) -> dict[str, Floats]:
    """Return what a comparison says of contrasts: arrays [..., contrasts], of intervals [..., 2].

    `effective` is the effective number of questions of the smallest task, where weights make it
    less than the number of questions.
    """
    difference = spread.difference
    half, narrow = spread.half_width(level), spread.half_width(2 * level)
    simultaneous = spread.simultaneous_half_width(level, family)
    questions = min(spread.fewest, spread.tasks * effective)
    equivalence = widened(difference, difference - narrow, difference + narrow, questions)
    return {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "together": np.stack([difference - simultaneous, difference + simultaneous], -1),
        "equivalence": np.stack(equivalence, -1),
        "p": spread.p_values(),
    }
