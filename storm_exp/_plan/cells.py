"""Settings that distinguish the cells of a sweep."""

from __future__ import annotations

from collections.abc import Sequence


def varying_settings(cells: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return for each cell, given by its overrides, those with different values across cells."""
    parsed = [
        {name.lstrip("+"): value for name, _, value in (o.partition("=") for o in overrides)}
        for overrides in cells
    ]
    names = list(dict.fromkeys(name for cell in parsed for name in cell))
    varying = [name for name in names if len({cell.get(name, "") for cell in parsed}) > 1]
    return [{name: cell.get(name, "") for name in varying} for cell in parsed]
