"""A curve of scores of one model after another, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from storm_report.score_interval import is_share, mean_interval, within
from storm_report.seed_mean import mean_curve

Course = Sequence[tuple[float, Mapping[str, Any]]]
"""A place on the axis with the contents of an evaluation.json, of one model after another."""
Ends = list[tuple[float, float]]


def score_curve(runs: Sequence[Course], tasks: Sequence[str]) -> tuple[Ends, Ends]:
    """Return the mean score over tasks and runs at each place, and the ends of its interval.

    It is over runs, or of a single one over questions. That of shares does not leave [0, 1].
    """
    scored = [[(place, _scores(each, tasks)) for place, each in run] for run in runs]
    points, halves = mean_curve([[(place, _mean(s)) for place, s in run] for run in scored])
    if len(runs) == 1:
        return points, [mean_interval(s) or (_mean(s), _mean(s)) for _, s in scored[0]]
    shares = all(is_share(*task) for run in scored for _, s in run for task in s)
    ends = zip(points, halves, strict=True)
    return points, [within(y - half, y + half, shares) for (_, y), half in ends]


def around(points: Ends, ends: Ends) -> Ends:
    """Return what intervals reach below and above their points."""
    return [(y - low, high - y) for (_, y), (low, high) in zip(points, ends, strict=True)]


def _scores(
    evaluation: Mapping[str, Any], tasks: Sequence[str]
) -> list[tuple[float, float | None, int]]:
    """Return score, standard error and number of documents of tasks."""
    entries = [evaluation["tasks"][task] for task in tasks]
    return [(float(each["score"]), each.get("stderr"), int(each["n"])) for each in entries]


def _mean(scores: Sequence[tuple[float, float | None, int]]) -> float:
    return math.fsum(score for score, _, _ in scores) / len(scores)
