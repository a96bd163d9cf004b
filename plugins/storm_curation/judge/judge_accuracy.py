"""Agreement of judgements with known labels."""

from __future__ import annotations

from collections.abc import Sequence


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Return the probability that a positive scores above a negative, ties counting one half.

    This is the area under the ROC curve, the Mann-Whitney U over the number of pairs. None where
    one side is empty.
    """
    if not positive or not negative:
        return None
    order = sorted([(value, 1) for value in positive] + [(value, 0) for value in negative])
    rank_sum, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and order[end][0] == order[start][0]:
            end += 1
        mean_rank = (start + 1 + end) / 2
        rank_sum += mean_rank * sum(side for _, side in order[start:end])
        start = end
    wins = rank_sum - len(positive) * (len(positive) + 1) / 2
    return wins / (len(positive) * len(negative))


def accuracy(predicted: Sequence[str], true: Sequence[str]) -> float | None:
    """Return the share of right labels, None without any."""
    if not predicted:
        return None
    return sum(a == b for a, b in zip(predicted, true, strict=True)) / len(predicted)
