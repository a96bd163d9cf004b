"""Planned power: what a pilot's variances promise, against simulation and closed forms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from storm_evaluation.comparison.inference import Spread, over_runs, pair, spread
from storm_evaluation.comparison.power import MOST_RUNS, PlannedComparison, Variances, variances

KNOWN = Variances(own=2e-4, pooled=2e-4, freedom=math.inf, questions=5e-5, most=1.0, fewest=960.0)
"""Of a difference: runs vary by 0.01 each, and questions by 0.007."""


def planned(known: Variances = KNOWN, arms: int = 6, comparisons: int = 1) -> PlannedComparison:
    return PlannedComparison(known, arms, comparisons)


def test_without_questions_two_arms_have_the_power_of_a_paired_t_test():
    known = dataclasses.replace(KNOWN, questions=0.0, most=0.0)
    for runs in (4, 8, 15):
        expected = TTestPower().power(0.01 / math.sqrt(2e-4), runs, 0.05)
        # With two arms the pooled estimate is the pair's own, and has the wider t.
        assert planned(known, arms=2).power(0.01, runs) == pytest.approx(expected, abs=0.015)


def test_without_runs_power_is_that_of_a_normal_test_of_questions():
    known = dataclasses.replace(KNOWN, own=0.0, pooled=0.0, most=0.0)
    expected = stats.norm.sf(1.96 - 0.02 / math.sqrt(5e-5))
    assert planned(known).power(0.02, 5) == pytest.approx(expected, abs=0.015)


def test_power_grows_with_effect_and_runs_and_shrinks_with_comparisons():
    one = planned()
    powers = [one.power(effect, 5) for effect in (0.0, 0.01, 0.02, 0.04)]
    assert powers == sorted(powers) and powers[0] < 0.06 and powers[-1] > 0.9
    assert one.power(0.03, 3) < one.power(0.03, 8)
    assert planned(comparisons=5).power(0.03, 5) < one.power(0.03, 5)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_smallest_effect_is_found_as_often_as_it_says(runs):
    smallest = planned().smallest_effect(runs)
    assert planned().power(smallest, runs) == pytest.approx(0.8, abs=0.01)


def test_the_runs_that_are_needed_are_the_fewest():
    needed = planned().runs_needed(0.03)
    assert planned().power(0.03, needed) >= 0.8 > planned().power(0.03, needed - 1)
    assert planned().runs_needed(1.0) == 2


def test_where_questions_are_the_limit_no_number_of_runs_is_enough():
    assert planned().runs_needed(0.01) is None
    assert planned().power(0.01, MOST_RUNS) < 0.8


@pytest.mark.parametrize(("freedom", "factor"), [(10, 1.6), (2, 4.5)])
def test_the_pessimistic_variance_is_an_upper_bound_of_eighty_percent(freedom, factor):
    bound = dataclasses.replace(KNOWN, freedom=freedom).pessimistic()
    assert bound.pooled / KNOWN.pooled == pytest.approx(factor, abs=0.05)
    draws = np.random.default_rng(0).chisquare(freedom, 20_000) / freedom
    assert np.mean(draws * bound.pooled / KNOWN.pooled > 1) == pytest.approx(0.8, abs=0.01)
    uneven = dataclasses.replace(KNOWN, freedom=freedom, own=1.0).pessimistic()
    assert (uneven.own, uneven.alike().own) == (1.0, uneven.pooled)


def test_a_pilots_variances_are_those_it_was_made_with():
    draw = np.random.default_rng(1)
    shape = (400, 3, 4, 50)
    question = 0.3 * draw.normal(size=(400, 3, 1, 50))
    run = 0.2 * draw.normal(size=(400, 3, 4, 1))
    found = spread([question + run + 0.1 * draw.normal(size=shape)], [pair(0, 1)])
    known = variances(found, (slice(None), 0))
    expected = 2 * (0.04 + 0.01 / 50)
    assert (known.own, known.pooled) == pytest.approx((expected, expected), rel=0.1)
    assert known.questions == pytest.approx(2 * 0.09 / 50, rel=0.1)


FACTOR = {arm: (-1) ** (arm // 4) / 4 for arm in range(8)}
"""The effect of one of three factors, of all eight arms."""


@pytest.mark.parametrize("runs", [3, 5])
@pytest.mark.parametrize(
    ("sds", "contrast"),
    [
        ((0.016, 0.004) * 4, FACTOR),
        ((0.016, *(0.004,) * 7), FACTOR),
        ((0.016, 0.016, 0.004, 0.004, 0.004, 0.004), pair(0, 1)),
        ((0.016, *(0.004,) * 5), pair(0, 1)),
    ],
)
def test_arms_that_vary_unequally_are_planned_as_if_each_were_drawn(sds, contrast, runs):
    draws, arms, questions, effect = 40_000, len(sds), 4e-5, 0.03
    draw = np.random.default_rng(1)
    means = draw.normal(size=(draws, arms, runs)) * np.reshape(sds, (-1, 1))
    found, own, pooled = (each[:, 0] for each in over_runs(means, [contrast]))
    found = found + effect + draw.normal(size=draws) * questions**0.5
    drawn = Spread(
        difference=found,
        own=own,
        pooled=pooled,
        questions=np.full(draws, questions),
        reach=np.abs(found),
        fewest=960,
        tasks=1,
        runs=runs,
        arms=arms,
    )
    expected = np.mean(np.abs(found) > drawn.half_width(0.05 / 6))
    known = Variances(
        own=sum(weight**2 * sds[arm] ** 2 for arm, weight in contrast.items()),
        pooled=sum(weight**2 for weight in contrast.values()) * float(np.mean(np.square(sds))),
        freedom=np.inf,
        questions=questions,
        most=0.0,
        fewest=960,
    )
    planned = PlannedComparison(known, arms, 6).power(effect, runs)
    assert planned == pytest.approx(expected, abs=0.02)
