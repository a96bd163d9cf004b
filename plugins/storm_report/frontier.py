"""What is not dominated: nothing else is as good in both respects and better in one (Pareto)."""

from __future__ import annotations

from collections.abc import Sequence


def dominators(points: Sequence[tuple[float, float]]) -> list[int | None]:
    """Return for each (cost, score) the one that dominates it, with the best score; None if none.

    Less cost and more score are better. Equal points do not dominate each other.
    """
    found: list[int | None] = []
    for cost, score in points:
        better = [
            place
            for place, (c, s) in enumerate(points)
            if c <= cost and s >= score and (c, s) != (cost, score)
        ]
        best = max(better, key=lambda place: (points[place][1], -points[place][0]), default=None)
        found.append(best)
    return found
