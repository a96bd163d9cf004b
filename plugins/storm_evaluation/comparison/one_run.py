"""Models that were trained once each: a statement about them, over the questions there could be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison import significance
from storm_evaluation.comparison.document_matching import MatchedTask
from storm_evaluation.comparison.pairwise_differences import Cell, widened
from storm_evaluation.comparison.significance import Floats
from storm_evaluation.evaluation import mean_and_stderr


class OneRun:
    """Bootstrap intervals and exact or permutation tests, paired by document.

    Documents are drawn within their task, never across; every difference is drawn from the same
    resamples. Nothing here knows how much another training of the same arm would differ.
    """

    runs = 1

    def __init__(
        self, tasks: Sequence[MatchedTask], *, confidence: float, resamples: int, seed: int
    ) -> None:
        """Draw the bootstrap means, seeded by `seed` and the task's name."""
        self._confidence, self._resamples, self._seed = confidence, resamples, seed
        self.models = tasks[0].scores_MN.shape[0]
        self._draws = {
            task.name: significance.bootstrap_means(
                task.scores_MN, task.weights_MN, resamples, self._random("bootstrap", task.name)
            )
            for task in tasks
        }

    def score(self, tasks: Sequence[MatchedTask], model: int) -> Cell:
        """Return the mean over tasks of their scores, and its standard error."""
        found = [
            mean_and_stderr(task.scores_MN[model].tolist(), task.weights_MN[model].tolist())
            for task in tasks
        ]
        score = sum(mean for mean, _ in found) / len(found)
        known = [error for _, error in found if error is not None]
        whole = len(known) == len(found)
        stderr = sum(error**2 for error in known) ** 0.5 / len(found) if whole else None
        return {"score": score, "stderr": stderr}

    def difference(self, tasks: Sequence[MatchedTask], first: int, second: int) -> Cell:
        """Return a difference of means over tasks; one task of 0/1 scores gets McNemar's test."""
        draws = sum(self._draws[t.name][:, second] - self._draws[t.name][:, first] for t in tasks)
        draws = np.asarray(draws) / len(tasks)
        low, high = significance.interval(draws, self._confidence)
        terms = [_contributions(task, first, second) for task in tasks]
        joined: Floats = np.concatenate(terms) / len(tasks)
        difference = float(joined.sum())
        questions, half = self._unseen(tasks, first, second, difference)
        narrow = significance.interval(draws, 2 * self._confidence - 1)
        cell: Cell = {
            "difference": difference,
            "low": min(low, difference - half),
            "high": max(high, difference + half),
            "equivalence": widened(difference, *narrow, questions),
        }
        alone = tasks[0] if len(tasks) == 1 else None
        if (
            alone
            and significance.is_binary(alone.scores_MN)
            and bool((alone.weights_MN == 1).all())
        ):
            p = significance.mcnemar(alone.scores_MN[first], alone.scores_MN[second])
            return {**cell, "p": p, "test": "mcnemar"}
        names = ",".join(task.name for task in tasks)
        random = self._random("sign_flip", names, first, second)
        p = significance.sign_flip(joined, self._resamples, random)
        cell |= {"p": p, "test": "sign_flip"}
        if len(tasks) > 1:
            each = [float(values.sum()) for values in terms]
            cell["clustered_stderr"] = significance.clustered_stderr(each)
        return cell

    def _unseen(
        self, tasks: Sequence[MatchedTask], first: int, second: int, difference: float
    ) -> tuple[float, float]:
        """Return how many questions speak for a difference, and what they leave open either way.

        A bootstrap of questions that come out alike has no width.
        """
        pair = [first, second]
        counts = [significance.effective_questions(task.weights_MN[pair]) for task in tasks]
        most = max(np.abs(task.scores_MN[second] - task.scores_MN[first]).max() for task in tasks)
        questions, tail = len(tasks) * min(counts), (1 - self._confidence) / 2
        reach = np.asarray(abs(difference) + most)
        return questions, float(significance.unseen_width(reach, questions, np.asarray(tail)))

    def _random(self, *purpose: object) -> np.random.Generator:
        digest = hashlib.sha256(repr(purpose).encode()).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "big")])


def _contributions(task: MatchedTask, first: int, second: int) -> Floats:
    return significance.contributions(
        (task.scores_MN[first], task.scores_MN[second]),
        (task.weights_MN[first], task.weights_MN[second]),
    )
