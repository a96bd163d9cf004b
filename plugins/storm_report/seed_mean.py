"""Means over seeds, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from storm_report.run_table import spread

Curve = Sequence[tuple[float, float]]
INTERVAL = "95 % intervals of the mean (Student's t)"


def half_interval(deviation: float, count: int) -> float:
    """Return half the length of a 95 % interval of a mean; 0 for one value, which has none.

    `deviation` is the sample standard deviation of `count` values (Student 1908).
    """
    if count < 2 or not deviation:
        return 0.0
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)


def mean_curve(curves: Sequence[Curve]) -> tuple[list[tuple[float, float]], list[float]]:
    """Return the mean of curves point by point, and half the interval over them.

    The curves have as many points as the shortest; their x are averaged, too.
    """
    points, halves = [], []
    for together in zip(*curves, strict=False):
        x, _ = spread([x for x, _ in together])
        mean, deviation = spread([y for _, y in together])
        points.append((x, mean))
        halves.append(half_interval(deviation, len(together)))
    return points, halves


def counted_seeds(counts: Sequence[int]) -> str:
    """Return `3 seeds`, or `1 to 3 seeds` where not all means are over as many."""
    low, high = min(counts), max(counts)
    return f"{high} seeds" if low == high else f"{low} to {high} seeds"
