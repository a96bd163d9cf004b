"""Which of the cells that a test does not tell apart is the best guess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison.significance import Floats


def best_guess(scores: Floats, noise: float, cells: Sequence[Sequence[str]]) -> Floats:
    """Return the scores [cells], each drawn to what its settings are worth in all cells.

    `cells` holds the overrides of each, `noise` is the variance of a score over runs and questions.
    The highest of many noisy scores owes part of its lead to luck. Of what a cell is above or below
    the sum of its settings' effects, as much is kept as the noise does not explain (positive-part
    James–Stein: 1 − noise / mean square). Cells of one setting keep their scores.
    """
    columns = _columns(cells)
    effects, *_ = np.linalg.lstsq(columns, scores, rcond=None)
    sums = columns @ effects
    rest = scores - sums
    freedom = len(scores) - np.linalg.matrix_rank(columns)
    if freedom < 1 or not rest.any():
        return scores
    kept = max(0.0, 1 - noise * freedom / float(rest @ rest))
    return np.asarray(sums + kept * rest)


def _columns(cells: Sequence[Sequence[str]]) -> Floats:
    """Return an indicator of each override, [cells, overrides], after a column of ones."""
    words = dict.fromkeys(word for cell in cells for word in cell)
    return np.array([[1.0, *(float(word in cell) for word in words)] for cell in cells])
