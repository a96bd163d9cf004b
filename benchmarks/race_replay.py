"""Races and searches replayed on a recorded grid, each for a share of the grid's FLOPs."""

from __future__ import annotations

import bisect
import dataclasses
import importlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from hydra.core.plugins import Plugins

from race_grid import Grid
from storm_evaluation.comparison.significance import Floats
from storm_evaluation.race.best_guess import best_guess
from storm_evaluation.race.elimination import Elimination
from storm_evaluation.race.ladder import ladder

SHARE = 0.25
"""Of the grid's FLOPs, which no replay exceeds."""
_BATCH = 4
"""Trials that a search asks for at once, as the sweeper does."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of a replay."""

    regret: float
    """Score of the best cell over all seeds and questions, less that of the one chosen."""
    flops: float
    """As a share of the grid's."""
    dropped: bool = False
    """Whether the best cell was."""


Way = Callable[[Grid, np.random.Generator], Found]
"""How a cell of a grid is chosen."""


def race_for_share(grid: Grid, draw: np.random.Generator) -> Found:
    """Race with the sweeper's own settings until the share is spent.

    Where it does not pay for a rung, as many of the best cells as it pays for are asked everything,
    as under `hours`.
    """
    grid, budget = grid.shuffled(draw), SHARE * grid.whole()
    cells, seeds, questions = grid.shape
    settings = _sweeper_module("race").RaceSweeperConf()
    given = [count for count in settings.questions if count < questions]
    rungs = ladder(given, seeds)
    test = Elimination(cells=cells, rungs=len(rungs))
    left, asked, order = np.ones(cells, bool), np.zeros((cells, seeds), int), np.arange(cells)
    for rung in rungs:
        size = rung.questions or questions
        wanted = [
            _asked(asked, order[:count], rung.seeds, size, questions)
            for count in range(1, len(order) + 1)
        ]
        affordable = bisect.bisect_right(wanted, budget, key=grid.cost)
        if affordable < len(order) and not asked.any():
            raise ValueError(f"{SHARE:.0%} of the grid's FLOPs do not pay for the first rung")
        if affordable < len(order) and rung.questions:
            continue
        if affordable < 2:
            break
        asked, measured = wanted[affordable - 1], np.zeros(cells, bool)
        measured[order[:affordable]] = True
        seen = [task[:, : rung.seeds, :size] for task in grid.tasks]
        verdicts = test.judge(seen, measured)
        left &= verdicts.left | ~measured
        short = affordable < len(order)
        known = np.flatnonzero(verdicts.left)
        noise = float(verdicts.variance[known].max()) / 2
        words = [grid.cells[cell] for cell in known]
        order = known[np.argsort(-best_guess(verdicts.scores[known], noise, words))]
        if short or left.sum() < 2:
            break
    truth = grid.scores.mean(1)
    best = int(truth.argmax())
    regret = float(truth[best] - truth[order[0]])
    return Found(regret, grid.cost(asked) / grid.whole(), not left[best])


def _asked(
    before: npt.NDArray[Any], cells: npt.NDArray[Any], seeds: int, questions: int, all_of_them: int
) -> npt.NDArray[Any]:
    """Return how many questions were asked once a rung was run for these cells.

    A larger limit asks only what a smaller one did not; without a limit, all are asked anew.
    """
    after = before.copy()
    known = before[cells, :seeds]
    more = known + questions if questions == all_of_them else np.maximum(known, questions)
    after[cells, :seeds] = np.where(known >= all_of_them, known, more)
    return after


def random_cells(seeds: int) -> Way:
    """Return a search that asks random cells all questions, over the first so many seeds."""

    def search(grid: Grid, draw: np.random.Generator) -> Found:
        grid, budget = grid.shuffled(draw), SHARE * grid.whole()
        cells, known, questions = grid.shape
        order = draw.permutation(cells)
        none = np.zeros((cells, known), int)
        wanted = [
            _asked(none, order[:count], seeds, questions, questions) for count in range(cells + 1)
        ]
        affordable = bisect.bisect_right(wanted, budget, key=grid.cost) - 1
        truth, tried = grid.scores.mean(1), order[:affordable]
        chosen = order[0]
        if affordable:
            chosen = tried[int(grid.scores[tried, :seeds].mean(1).argmax())]
        return Found(
            float(truth.max() - truth[chosen]), grid.cost(wanted[affordable]) / grid.whole()
        )

    return search


@dataclasses.dataclass(frozen=True)
class Line:
    """The cells that a number alone tells apart, in order: scores between them are interpolated."""

    values: Floats
    cells: npt.NDArray[np.intp]

    def at(self, value: float, scores: Floats) -> float:
        """Return the score at a value, of the scores of all cells."""
        return float(np.interp(value, self.values, scores[self.cells]))


def lines(grid: Grid, setting: str) -> list[Line]:
    """Return a line for each combination of the other settings."""
    found: dict[tuple[str, ...], list[tuple[float, int]]] = {}
    for cell, words in enumerate(grid.cells):
        (value,) = (
            float(w.removeprefix(f"{setting}=")) for w in words if w.startswith(f"{setting}=")
        )
        rest = tuple(word for word in words if not word.startswith(f"{setting}="))
        found.setdefault(rest, []).append((value, cell))
    return [
        Line(np.array([value for value, _ in points]), np.array([cell for _, cell in points]))
        for points in map(sorted, found.values())
    ]


def search(sampler: str, setting: str, options: dict[str, Any] | None = None) -> Way:
    """Return a search by optuna over a continuous setting and the combinations of the others.

    A trial asks all questions of one seed. It costs an evaluation, and what no trial has made.
    """
    import optuna

    make_sampler = _sweeper_module("study").make_sampler
    optuna.logging.set_verbosity(logging.WARNING)

    def run(grid: Grid, draw: np.random.Generator) -> Found:
        grid, budget = grid.shuffled(draw), SHARE * grid.whole()
        known, questions = lines(grid, setting), grid.shape[2]
        low, high = known[0].values[[0, -1]]
        study = optuna.create_study(
            direction="maximize",
            sampler=make_sampler(sampler, options or {}, int(draw.integers(2**31))),
        )
        one = grid.question * len(grid.tasks) * questions
        begun, trials, spent, scores = np.zeros(grid.shape[:2], bool), 0, 0.0, grid.scores[:, 0]
        while True:
            batch = []
            for _ in range(_BATCH):
                trial = study.ask()
                line = known[trial.suggest_categorical("others", list(range(len(known))))]
                value = trial.suggest_float(setting, float(low), float(high))
                after = begun.copy()
                after[line.cells[0], 0] = True  # it stands for the trainings of its line
                cost = grid.making(after) + one * (trials + 1)
                if cost > budget:
                    break
                begun, trials, spent = after, trials + 1, cost
                batch.append((trial, line.at(value, scores)))
            for trial, score in batch:
                study.tell(trial, score)
            if len(batch) < _BATCH:
                break
        truth = grid.scores.mean(1)
        if not trials:
            return Found(float(truth.max() - truth.mean()), 0.0)
        best = study.best_params
        found = known[best["others"]].at(best[setting], truth)
        return Found(float(truth.max() - found), spent / grid.whole())

    return run


def _sweeper_module(name: str) -> Any:
    """Return a module of the sweepers.

    Hydra executes all of them when it looks for plugins. It has to do so before one is imported:
    of a class that was imported before, it would make a second one.
    """
    Plugins.instance()
    return importlib.import_module(f"hydra_plugins.storm_exp_hydra.{name}")
