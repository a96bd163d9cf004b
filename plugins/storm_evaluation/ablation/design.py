"""Designs of an ablation: which controls each arm has, and how effects follow from the arms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

ONE_OUT, ONE_IN, FULL = "one_out", "one_in", "full"
DESIGNS = (ONE_OUT, ONE_IN, FULL)
MOST_ARMS = 64
"""Arms of a factorial: six factors."""
BESIDE, TIMES = "+", " × "
"""What stands between the factors in the name of an arm of a factorial, and of an interaction."""


def controlled(design: str, factors: Sequence[str]) -> dict[str, list[str]]:
    """Return the factors that each arm has the control of; the reference is named ""."""
    if design == ONE_OUT:
        return {"": [], **{name: [name] for name in factors}}
    if design == ONE_IN:
        arms = {"": list(factors)}
        return arms | {name: [other for other in factors if other != name] for name in factors}
    chosen = (
        names for size in range(len(factors) + 1) for names in itertools.combinations(factors, size)
    )
    return {BESIDE.join(names): list(names) for names in chosen}


def effects(design: str, factors: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the contrast of each effect, {arm: weight}: with the factor, less with its control.

    Of a factorial, a factor's effect is its mean over the levels of all others, and an interaction
    is what the effect of one factor gains where the other is there in place of its control.
    """
    if design == ONE_OUT:
        return {name: {"": 1.0, name: -1.0} for name in factors}
    if design == ONE_IN:
        return {name: {"": -1.0, name: 1.0} for name in factors}
    terms = [(name,) for name in factors] + list(itertools.combinations(factors, 2))
    arms = controlled(design, factors)
    found = {}
    for term in terms:
        weight = 2.0 ** (len(term) - len(factors))
        found[TIMES.join(term)] = {
            arm: weight * (-1) ** len(set(term) & set(names)) for arm, names in arms.items()
        }
    return found
