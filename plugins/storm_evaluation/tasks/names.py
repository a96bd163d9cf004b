"""Short names of tasks for charts and tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable


def short_names(tasks: Iterable[str]) -> dict[str, str]:
    """Return each name without the common prefix of all, up to an underscore."""
    names = list(dict.fromkeys(tasks))
    if len(names) < 2:
        return {name: name for name in names}
    pairs = zip(min(names), max(names), strict=False)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
    start = "".join(character for character, _ in same).rfind("_") + 1
    return {name: name[start:] for name in names}
