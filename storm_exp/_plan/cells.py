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


def fewest_settings(settings: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the settings without those, the last first, that tell nothing more apart."""
    for dropped in reversed(list(dict.fromkeys(name for each in settings for name in each))):
        fewer = [{k: v for k, v in each.items() if k != dropped} for each in settings]
        settings = fewer if len(set(map(str, fewer))) == len(set(map(str, settings))) else settings
    return settings
