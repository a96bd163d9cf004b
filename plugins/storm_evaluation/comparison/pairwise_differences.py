"""The contents of comparison.json: scores and differences of models with their uncertainty."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from storm_evaluation.comparison import significance
from storm_evaluation.comparison.comparison import NO_EFFECT, UNDECIDED
from storm_evaluation.comparison.document_matching import MatchedTask
from storm_evaluation.comparison.inference import Contrast, Family, pair

Cell = dict[str, Any]
"""A score or difference, as in comparison.json."""


class Estimator(Protocol):
    """Estimates scores and differences with their uncertainty."""

    models: int
    """The number of models, or of arms of several runs."""
    runs: int
    """The number of runs of each."""

    def score(self, tasks: Sequence[MatchedTask], model: int) -> Cell:
        """Return `score`, the mean over tasks, and its `stderr`."""
        ...

    def difference(self, tasks: Sequence[MatchedTask], contrast: Contrast, family: Family) -> Cell:
        """Return `difference`, `low`, `high`, `p` and `test` of a contrast's mean over tasks.

        `equivalence` is the interval at twice the error probability (TOST); `together`, where it is
        known, the interval that holds for all of a family.
        """
        ...


class PairwiseDifferences:
    """Scores and pairwise differences of all models over all tasks."""

    def __init__(
        self,
        tasks: Sequence[MatchedTask],
        estimator: Estimator,
        *,
        confidence: float,
        margin: float,
        settings: dict[str, Any],
    ) -> None:
        """Compare at `confidence`; differences within ± `margin` count as no effect."""
        self._tasks, self._estimator = tasks, estimator
        self._confidence, self._margin, self._settings = confidence, margin, settings
        self._groups = {
            "mean": [task for task in tasks if task.higher_is_better],
            "loss": [task for task in tasks if not task.higher_is_better],
        }

    def describe(self, *, every_pair: bool = True) -> dict[str, Any]:
        """Return the contents of comparison.json; `pairs` may be left empty."""
        models = range(self._estimator.models)
        means = {
            name: [self._estimator.score(group, model) for model in models] if group else None
            for name, group in self._groups.items()
        }
        mean = means["mean"]
        pairs = list(itertools.combinations(models, 2))
        first = [(0, second) for second in models[1:]]
        return {
            "models": len(models),
            "runs": self._estimator.runs,
            "best": max(models, key=lambda m: mean[m]["score"]) if mean else None,
            "tasks": {
                task.name: {
                    "metric": task.metric,
                    "higher_is_better": task.higher_is_better,
                    "n": int(task.scores_MN.shape[1]),
                    "scores": [self._estimator.score([task], model) for model in models],
                }
                for task in self._tasks
            },
            **means,
            "against_first": self._differences(first),
            "pairs": self._differences(pairs if every_pair else []),
            "settings": self._settings,
        }

    def _differences(self, pairs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return an entry per pair; Holm's correction is over all tasks, and over all means."""
        family = Family(self._estimator.models - 1)
        entries = self.contrasts([pair(*each) for each in pairs], family, family)
        for entry, chosen in zip(entries, pairs, strict=True):
            for cell in (*entry["tasks"].values(), *(entry[name] for name in self._groups)):
                if cell and cell["better"] is not None:
                    cell["better"] = chosen[cell["better"]]
        return [
            {"first": first, "second": second, **entry}
            for (first, second), entry in zip(pairs, entries, strict=True)
        ]

    def contrasts(
        self, contrasts: Sequence[Contrast], of_means: Family, of_tasks: Family
    ) -> list[dict[str, Any]]:
        """Return an entry per contrast: `tasks`, {task: difference}, `mean` and `loss`.

        Where `better` is 1, scores are better in arms of positive weight, where it is 0 in those of
        negative weight. Holm's correction is over all tasks, and over all means; intervals hold
        together for the families.
        """
        entries: list[dict[str, Any]] = []
        difference = self._estimator.difference
        for each in contrasts:
            tasks = {task.name: difference([task], each, of_tasks) for task in self._tasks}
            entry: dict[str, Any] = {"tasks": tasks}
            for name, group in self._groups.items():
                entry[name] = difference(group, each, of_means) if group else None
            entries.append(entry)
        directions = {task.name: task.higher_is_better for task in self._tasks}
        families = [
            [(cell, directions[name]) for entry in entries for name, cell in entry["tasks"].items()]
        ]
        for name in self._groups:
            families.append([(entry[name], name == "mean") for entry in entries if entry[name]])
        for cells in families:
            decide(cells, confidence=self._confidence, margin=self._margin)
        return entries


def decide(cells: Iterable[tuple[Cell, bool]], *, confidence: float, margin: float) -> None:
    """Add `p_holm`, `better` and `verdict` to contrasts that are looked at together.

    A cell comes with whether higher is better. `better` is 1 where scores are better in arms of
    positive weight, 0 where they are in those of negative weight.
    """
    known = list(cells)
    adjusted = significance.holm([cell["p"] for cell, _ in known])
    for (cell, higher_is_better), value in zip(known, adjusted, strict=True):
        cell["p_holm"] = value
        won = int((cell["difference"] > 0) == higher_is_better)
        cell["better"] = won if value < 1.0 - confidence else None
        cell["verdict"] = verdict(cell, 1, margin)


def widened(difference: Any, low: Any, high: Any, questions: float) -> tuple[Any, Any]:
    """Return an equivalence interval no narrower than this number of questions allows.

    The arguments are numbers, or arrays of them. An outcome that none of n questions showed may
    occur in up to 3 / n of all questions (the rule of three).
    """
    least = 3 / questions
    return np.minimum(low, difference - least), np.maximum(high, difference + least)


def verdict(cell: Cell, second: int, margin: float) -> str:
    """Return `better` or `worse` (the second model), `no effect`, or `undecided`.

    `no effect` requires that the whole equivalence interval lies within ± `margin` (two one-sided
    tests): a difference that is not significant is no evidence that there is none.
    """
    if cell["better"] is not None:
        return "better" if cell["better"] == second else "worse"
    low, high = cell["equivalence"]
    return NO_EFFECT if -margin < low and high < margin else UNDECIDED
