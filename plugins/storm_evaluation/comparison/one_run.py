"""Inference over questions, for models that were trained once each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison import significance
from storm_evaluation.comparison.document_matching import MatchedTask
from storm_evaluation.comparison.inference import Contrast, Family
from storm_evaluation.comparison.pairwise_differences import Cell, widened
from storm_evaluation.comparison.significance import Floats, weighted
from storm_evaluation.evaluation import mean_and_stderr


class OneRun:
    """Bootstrap intervals and exact or permutation tests, paired by document.

    Documents are resampled within their task; all differences use the same resamples. How much
    another training of the same arm would differ is not estimated.
    """

    runs = 1

    def __init__(
        self, tasks: Sequence[MatchedTask], *, confidence: float, resamples: int, seed: int
    ) -> None:
        """Draw the bootstrap means of each task, seeded by `seed` and its name."""
        self._confidence, self._resamples, self._seed = confidence, resamples, seed
        self.models = tasks[0].scores_MN.shape[0]
        self._draws = {
            task.name: significance.bootstrap_means(
                task.scores_MN, task.weights_MN, resamples, self._random("bootstrap", task.name)
            )
            for task in tasks
        }

    def score(self, tasks: Sequence[MatchedTask], model: int) -> Cell:
        """Return the mean score over tasks and its standard error."""
        means = [
            mean_and_stderr(task.scores_MN[model].tolist(), task.weights_MN[model].tolist())
            for task in tasks
        ]
        score = sum(mean for mean, _ in means) / len(means)
        known = [error for _, error in means if error is not None]
        complete = len(known) == len(means)
        stderr = sum(error**2 for error in known) ** 0.5 / len(means) if complete else None
        return {"score": score, "stderr": stderr}

    def difference(self, tasks: Sequence[MatchedTask], contrast: Contrast, family: Family) -> Cell:
        """Return a contrast of means over tasks; a pair's on one 0/1 task gets McNemar's test."""
        arms, weights = list(contrast), list(contrast.values())
        draws = sum(weighted(self._draws[task.name].T[arms], weights) for task in tasks)
        draws = np.asarray(draws) / len(tasks)
        low, high = significance.interval(draws, self._confidence)
        terms = [
            significance.contributions(task.scores_MN[arms], task.weights_MN[arms], weights)
            for task in tasks
        ]
        joined: Floats = np.concatenate(terms) / len(tasks)
        difference = float(joined.sum())
        questions, half = self._unseen(tasks, contrast, difference)
        narrow = significance.interval(draws, 2 * self._confidence - 1)
        cell: Cell = {
            "difference": difference,
            "low": min(low, difference - half),
            "high": max(high, difference + half),
            "equivalence": [float(end) for end in widened(difference, *narrow, questions)],
        }
        single = tasks[0] if len(tasks) == 1 and weights == [-1.0, 1.0] else None
        if (
            single
            and significance.is_binary(single.scores_MN)
            and bool((single.weights_MN == 1).all())
        ):
            p = significance.mcnemar(*single.scores_MN[arms])
            return {**cell, "p": p, "test": "mcnemar"}
        names = ",".join(task.name for task in tasks)
        random = self._random("sign_flip", names, *arms)
        p = significance.sign_flip(joined, self._resamples, random)
        cell |= {"p": p, "test": "sign_flip"}
        if len(tasks) > 1:
            by_task = [float(values.sum()) for values in terms]
            cell["clustered_stderr"] = significance.clustered_stderr(by_task)
        return cell

    def _unseen(
        self, tasks: Sequence[MatchedTask], contrast: Contrast, difference: float
    ) -> tuple[float, float]:
        """Return the effective number of questions, and the least half width that they allow.

        Without it, the bootstrap interval of questions with equal outcomes would have width 0.
        """
        arms, weights = list(contrast), list(contrast.values())
        counts = [significance.effective_questions(task.weights_MN[arms]) for task in tasks]
        most = max(np.abs(weighted(task.scores_MN[arms], weights)).max() for task in tasks)
        questions, tail = len(tasks) * min(counts), (1 - self._confidence) / 2
        reach = np.asarray(abs(difference) + most)
        return questions, float(significance.unseen_width(reach, questions, np.asarray(tail)))

    def _random(self, *purpose: object) -> np.random.Generator:
        digest = hashlib.sha256(repr(purpose).encode()).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "big")])
