"""Values along the layers of a model, from a few points."""

from __future__ import annotations

from collections.abc import Sequence


def interpolate(points: Sequence[float], position: float) -> float:
    """Return the linear interpolation of evenly spaced points at `position` in [0, 1]."""
    scaled = position * (len(points) - 1)
    lower = int(scaled)
    upper = min(len(points) - 1, lower + 1)
    share = scaled - lower
    return (1.0 - share) * points[lower] + share * points[upper]
