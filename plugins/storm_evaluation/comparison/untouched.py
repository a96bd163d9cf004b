"""Scores with and without the questions that training data held, on the same questions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from storm_evaluation.comparison.significance import Floats

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class TouchedTask:
    """The scores of one task, or differences of two models' scores, and what was touched."""

    scores_N: Floats
    weights_N: Floats
    touched_N: Mask


@dataclasses.dataclass(frozen=True)
class Split:
    """A mean over tasks on all questions and on the untouched ones alone."""

    every: float
    untouched: float
    gain: float
    """What the touched questions add: the mean on all less that on the untouched ones."""
    low: float
    """The interval of the gain over questions."""
    high: float


def split(tasks: Sequence[TouchedTask], z: float) -> Split | None:
    """Return the means over tasks with and without touched questions, and their difference.

    Both means are of the same questions, so each question's part in the difference is known: in a
    task, w(s − m)/Σw less, where it is untouched, w(s − m')/Σ'w, m and m' being the means on all
    and on the untouched ones (linearised as in Cochran, Sampling Techniques, 6.4). `z` is the
    normal quantile of the interval. None where a task has no untouched question.
    """
    every, untouched, variance = 0.0, 0.0, 0.0
    for task in tasks:
        free = task.weights_N * ~task.touched_N
        if not free.any():
            return None
        total, left = task.weights_N.sum(), free.sum()
        mean = float(task.weights_N @ task.scores_N / total)
        mean_left = float(free @ task.scores_N / left)
        parts = task.weights_N * (task.scores_N - mean) / total
        parts -= free * (task.scores_N - mean_left) / left
        count = len(parts)
        if count > 1:
            variance += float(parts @ parts) * count / (count - 1)
        every, untouched = every + mean, untouched + mean_left
    count = len(tasks)
    gain = (every - untouched) / count
    margin = z * math.sqrt(variance) / count
    return Split(every / count, untouched / count, gain, gain - margin, gain + margin)
