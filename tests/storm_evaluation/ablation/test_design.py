"""The designs of ablations: which controls each arm has, and the contrasts of effects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storm_evaluation.ablation.design import DESIGNS, controlled, effects

FACTORS = ("a", "b", "c", "d")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_effect_is_a_contrast_of_arms_that_there_are(design, count):
    arms, found = controlled(design, FACTORS[:count]), effects(design, FACTORS[:count])
    for effect in found.values():
        assert effect.keys() <= arms.keys()
        assert sum(effect.values()) == 0
    assert list(found)[:count] == list(FACTORS[:count])


def test_a_factorial_has_every_combination_of_controls_once():
    arms = controlled("full", FACTORS)
    assert len(arms) == 16 and next(iter(arms)) == ""
    assert arms["a+c"] == ["a", "c"]
    assert len({frozenset(names) for names in arms.values()}) == 16


def test_two_factors_by_hand():
    # with both 5, control of a 1, control of b 3, both controls 2
    scores = {"": 5, "a": 1, "b": 3, "a+b": 2}
    found = {
        name: sum(weight * scores[arm] for arm, weight in effect.items())
        for name, effect in effects("full", ("a", "b")).items()
    }
    # a: 5 - 1 beside b, 3 - 2 beside its control; b: 5 - 3 and 1 - 2
    assert found == {"a": (4 + 1) / 2, "b": (2 - 1) / 2, "a × b": 4 - 1}


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 999))
def test_effects_of_a_factorial_are_what_scores_were_made_of(count, seed):
    draw, names = np.random.default_rng(seed), FACTORS[:count]
    terms = [(name,) for name in names] + list(itertools.combinations(names, 2))
    worth = {term: float(draw.normal()) for term in terms}
    scores = {
        # A factor adds ± half its effect; an interaction adds a quarter, by both signs.
        arm: sum(
            size * np.prod([-0.5 if name in controls else 0.5 for name in term])
            for term, size in worth.items()
        )
        for arm, controls in controlled("full", names).items()
    }
    found = effects("full", names)
    assert list(found) == [" × ".join(term) for term in terms]
    for term, size in worth.items():
        effect = found[" × ".join(term)]
        assert sum(w * scores[arm] for arm, w in effect.items()) == pytest.approx(size)


def test_contrasts_of_a_factorial_are_orthogonal():
    arms = list(controlled("full", FACTORS))
    rows = np.array([[effect[arm] for arm in arms] for effect in effects("full", FACTORS).values()])
    products = rows @ rows.T
    assert products == pytest.approx(np.diag(np.diag(products)))
