"""The interval of a score: a mean over documents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

_95_PERCENT = 1.96


def score_interval(
    score: float, stderr: float | None, documents: int
) -> tuple[float, float] | None:
    """Return the bounds of a 95 % interval of a mean over documents; None if none is known.

    For a share of right answers it is Wilson's (Wilson 1927), which has a width also where all
    answers are right, or none; for other scores it is ± 1.96 standard errors.
    """
    if is_share(score, stderr, documents):
        return _wilson(score, documents)
    if not stderr:
        return None
    return score - _95_PERCENT * stderr, score + _95_PERCENT * stderr


def mean_interval(
    tasks: Sequence[tuple[float, float | None, int]],
) -> tuple[float, float] | None:
    """Return the bounds of a 95 % interval of the mean of several tasks' scores.

    A task is a score, its standard error and its number of documents. The distances to the bounds
    of `score_interval` are added as squares (Newcombe 1998; Zou and Donner 2008), so a mean of
    shares stays between 0 and 1. None where no task has an interval.
    """
    below = above = 0.0
    known = [(task[0], score_interval(*task)) for task in tasks]
    for score, ends in known:
        if ends is not None:
            below, above = math.hypot(below, score - ends[0]), math.hypot(above, ends[1] - score)
    if all(ends is None for _, ends in known):
        return None
    mean = math.fsum(score for score, _ in known) / len(known)
    return mean - below / len(known), mean + above / len(known)


def within(low: float, high: float, shares: bool) -> tuple[float, float]:
    """Return an interval of a mean; that of `shares` ends at 0 and at 1."""
    return (max(low, 0.0), min(high, 1.0)) if shares else (low, high)


def _wilson(share: float, documents: int) -> tuple[float, float]:
    """Return the bounds of Wilson's interval, without scipy, whose import takes a second."""
    z = NormalDist().inv_cdf(0.975)
    spread = z**2 / documents
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / documents + spread / documents / 4)
    low = 0.0 if share == 0 else middle - half
    return low, 1.0 if share == 1 else middle + half


def shown_score(score: float, stderr: float | None, documents: int = 0) -> str:
    """Return a score ± its standard error, as `0.650 ± 0.013`.

    Where all answers are right, or none, the error is not zero but unknown: then it is followed by
    its interval, as in `0.000 [0.000, 0.016]`, if the number of documents is given.
    """
    if stderr:
        return f"{score:.3f} ± {stderr:.3f}" if stderr >= 0.0005 else f"{score:.3f} ± {stderr:.1g}"
    interval = score_interval(score, stderr, documents) if documents > 1 else None
    if interval is None:
        return f"{score:.3f}"
    return f"{score:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def is_share(score: float, stderr: float | None, documents: int) -> bool:
    """Return whether every document can have scored 0 or 1: the mean and its error say so."""
    if documents < 1 or not 0 <= score <= 1:
        return False
    right = score * documents
    if not math.isclose(right, round(right), abs_tol=1e-6):
        return False
    if stderr is None:
        return documents == 1
    error = math.sqrt(score * (1 - score) / (documents - 1)) if documents > 1 else 0.0
    return math.isclose(stderr, error, rel_tol=1e-6, abs_tol=1e-12)
