"""Differences between models with their uncertainty, as the comparison writes them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from storm_evaluation import significance
from storm_evaluation.alignment import AlignedTask
from storm_evaluation.evaluation import mean_and_stderr
from storm_evaluation.significance import Floats


class Contrast:
    """All models over all tasks; every difference is drawn from the same resamples."""

    def __init__(
        self, tasks: Sequence[AlignedTask], *, confidence: float, resamples: int, seed: int
    ) -> None:
        """Draw the bootstrap means, seeded by `seed` and the task's name."""
        self._tasks = tasks
        self._confidence, self._resamples, self._seed = confidence, resamples, seed
        self._models = tasks[0].scores_MN.shape[0]
        self._draws = {
            task.name: significance.bootstrap_means(
                task.scores_MN, task.weights_MN, resamples, self._random("bootstrap", task.name)
            )
            for task in tasks
        }
        self._averaged = [task for task in tasks if task.higher_is_better]

    def describe(self) -> dict[str, Any]:
        """Return the contents of comparison.json."""
        mean = self._mean_scores()
        first = [(0, second) for second in range(1, self._models)]
        every = list(itertools.combinations(range(self._models), 2))
        return {
            "models": self._models,
            "best": max(range(self._models), key=lambda m: mean[m]["score"]) if mean else None,
            "tasks": {
                task.name: {
                    "metric": task.metric,
                    "higher_is_better": task.higher_is_better,
                    "n": int(task.scores_MN.shape[1]),
                    "scores": self._scores(task),
                }
                for task in self._tasks
            },
            "mean": mean,
            "against_first": self._differences(first),
            "pairs": self._differences(every),
            "settings": {
                "confidence": self._confidence,
                "resamples": self._resamples,
                "seed": self._seed,
            },
        }

    def _scores(self, task: AlignedTask) -> list[dict[str, Any]]:
        rows = zip(task.scores_MN, task.weights_MN, strict=True)
        pairs = [mean_and_stderr(scores.tolist(), weights.tolist()) for scores, weights in rows]
        return [{"score": score, "stderr": stderr} for score, stderr in pairs]

    def _mean_scores(self) -> list[dict[str, Any]] | None:
        if not self._averaged:
            return None
        columns = [self._scores(task) for task in self._averaged]
        means: list[dict[str, Any]] = []
        for model in range(self._models):
            cells = [column[model] for column in columns]
            errors = [cell["stderr"] for cell in cells]
            known = [error for error in errors if error is not None]
            score = sum(cell["score"] for cell in cells) / len(cells)
            squares = sum(error**2 for error in known)
            stderr = squares**0.5 / len(cells) if len(known) == len(cells) else None
            means.append({"score": score, "stderr": stderr})
        return means

    def _differences(self, pairs: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return an entry per pair; Holm's correction is over all cells, and over all means."""
        entries: list[dict[str, Any]] = [
            {
                "first": first,
                "second": second,
                "tasks": {task.name: self._on_task(task, first, second) for task in self._tasks},
                "mean": self._on_mean(first, second),
            }
            for first, second in pairs
        ]
        directions = {task.name: task.higher_is_better for task in self._tasks}
        self._correct(
            (entry, cell, directions[name])
            for entry in entries
            for name, cell in entry["tasks"].items()
        )
        self._correct((entry, entry["mean"], True) for entry in entries if entry["mean"])
        return entries

    def _correct(self, cells: Iterable[tuple[dict[str, Any], dict[str, Any], bool]]) -> None:
        known = list(cells)
        adjusted = significance.holm([cell["p"] for _, cell, _ in known])
        for (entry, cell, higher_is_better), value in zip(known, adjusted, strict=True):
            cell["p_holm"] = value
            won = "second" if (cell["difference"] > 0) == higher_is_better else "first"
            cell["better"] = entry[won] if value < 1.0 - self._confidence else None

    def _on_task(self, task: AlignedTask, first: int, second: int) -> dict[str, Any]:
        low, high = significance.interval(
            self._draws[task.name][:, second] - self._draws[task.name][:, first], self._confidence
        )
        if significance.is_binary(task.scores_MN) and bool(np.all(task.weights_MN == 1)):
            test, p = "mcnemar", significance.mcnemar(task.scores_MN[first], task.scores_MN[second])
        else:
            test = "sign_flip"
            p = significance.sign_flip(
                _contributions(task, first, second),
                self._resamples,
                self._random(test, task.name, first, second),
            )
        difference = float(_contributions(task, first, second).sum())
        return {"difference": difference, "low": low, "high": high, "p": p, "test": test}

    def _on_mean(self, first: int, second: int) -> dict[str, Any] | None:
        """Compare means over tasks: documents are drawn within their task, never across."""
        if not self._averaged:
            return None
        count = len(self._averaged)
        terms = [_contributions(task, first, second) for task in self._averaged]
        draws = (
            sum(
                self._draws[t.name][:, second] - self._draws[t.name][:, first]
                for t in self._averaged
            )
            / count
        )
        low, high = significance.interval(np.asarray(draws), self._confidence)
        joined: Floats = np.concatenate(terms) / count
        random = self._random("sign_flip", "", first, second)
        return {
            "difference": float(joined.sum()),
            "low": low,
            "high": high,
            "p": significance.sign_flip(joined, self._resamples, random),
            "test": "sign_flip",
            "clustered_stderr": significance.clustered_stderr(
                [float(values.sum()) for values in terms]
            ),
        }

    def _random(self, *purpose: object) -> np.random.Generator:
        digest = hashlib.sha256(repr(purpose).encode()).digest()
        return np.random.default_rng([self._seed, int.from_bytes(digest[:8], "big")])


def _contributions(task: AlignedTask, first: int, second: int) -> Floats:
    return significance.contributions(
        (task.scores_MN[first], task.scores_MN[second]),
        (task.weights_MN[first], task.weights_MN[second]),
    )
