"""The test by which cells are dropped from a race.

At each rung every cell that is left is compared with the leader on the same questions, over the
same seeds. The total error, the chance that the best cell is ever dropped, is spent evenly over
rungs and over the cells that could falsely look better (Bonferroni), so it holds however the rungs
depend on each other. A cell is dropped where the upper end of its one-sided interval is below 0:

    difference + √( z² max( 2 run_sd² / S + b, a + max(b - c, 0) ) ) < 0

with S seeds, a the variance of the mean difference over runs, pooled over the cells that are left,
b that over questions, and c the residual one, as in comparison/inference.py. A single seed shows
nothing of how runs vary: `run_sd` is stated beforehand, and several seeds can only widen it. The
width is never less than the number of questions allows (`unseen_width`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from storm_evaluation.comparison.significance import Floats, unseen_width

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """What a rung says of the cells, arrays [..., cells]."""

    scores: Floats
    """Means over seeds, questions and tasks; −∞ for a cell that was dropped before."""
    leader: npt.NDArray[np.intp]
    """Number of the leader, an array [...]."""
    difference: Floats
    """Score less that of the leader."""
    half_width: Floats
    """Half width of the one-sided interval."""
    left: Mask
    """Whether the cell goes on."""
    variance: Floats
    """Of the difference, over runs and questions."""


@dataclasses.dataclass(frozen=True)
class Elimination:
    """Test of all cells against the leader, rung by rung."""

    cells: int
    """Cells at the start."""
    rungs: int
    """Rungs that are planned; fewer may be run."""
    error: float = 0.05
    """Chance that the best cell is dropped at any rung."""
    run_sd: float = 0.01
    """Standard deviation of a cell's score over runs, which the first rungs cannot see."""

    @property
    def tail(self) -> float:
        """The one-sided error of a single comparison."""
        return self.error / self.rungs / max(self.cells - 1, 1)

    def judge(self, tasks: Sequence[Floats], left: Mask) -> Verdicts:
        """Compare the cells that are left, an array [..., cells], with their leader.

        A task is an array [..., cells, seeds, questions] in which more is better.
        """
        means = sum(task.mean(-1) for task in tasks) / len(tasks)
        scores = np.where(left, means.mean(-1), -np.inf)
        leader = scores.argmax(-1)
        first = leader[..., None, None, None]
        seeds = tasks[0].shape[-2]
        observed = np.zeros(scores.shape)
        residual = np.zeros(scores.shape)
        most = np.zeros(scores.shape)
        for task in tasks:
            differences = task - np.take_along_axis(task, first, -3)
            by_question = differences.mean(-2)
            count = by_question.shape[-1]
            observed += by_question.var(-1, ddof=1) / count / len(tasks) ** 2
            most = np.maximum(most, np.abs(by_question).max(-1))
            if seeds > 1:
                residual += _residual(differences) / len(tasks) ** 2
        seen = _pooled(means, left) + np.maximum(observed - residual, 0)
        variance = np.maximum(2 * self.run_sd**2 / seeds + observed, seen)
        best = np.take_along_axis(scores, leader[..., None], -1)
        difference = np.where(left, scores, best) - best
        fewest = len(tasks) * min(task.shape[-1] for task in tasks)
        floor = unseen_width(np.abs(difference) + most, fewest, np.asarray(self.tail))
        half = np.maximum(-special.ndtri(self.tail) * np.sqrt(variance), floor)
        return Verdicts(
            scores=scores,
            leader=leader,
            difference=difference,
            half_width=half,
            left=left & (difference + half >= 0),
            variance=variance,
        )


def _residual(differences: Floats) -> Floats:
    """Return c of differences [..., seeds, questions]: the residual mean square, over all."""
    seeds, count = differences.shape[-2:]
    rest = differences - differences.mean(-1, keepdims=True) - differences.mean(-2, keepdims=True)
    rest = rest + differences.mean((-2, -1), keepdims=True)
    return np.asarray((rest**2).sum((-2, -1)) / ((seeds - 1) * (count - 1)) / (seeds * count))


def _pooled(means: Floats, left: Mask) -> Floats:
    """Return the variance of a mean difference over runs, from the scores [..., cells, seeds].

    It is pooled over the cells that are left, and 0 for a single seed or cell.
    """
    seeds, arms = means.shape[-1], left.sum(-1)
    if seeds < 2:
        return np.zeros((*arms.shape, 1))
    known = left[..., None]
    by_seed = (means * known).sum(-2, keepdims=True) / arms[..., None, None]
    rest = means - means.mean(-1, keepdims=True) - by_seed + by_seed.mean(-1, keepdims=True)
    freedom = np.maximum(arms - 1, 1) * (seeds - 1)
    return np.asarray(2 * ((rest * known) ** 2).sum((-2, -1)) / freedom / seeds)[..., None]
