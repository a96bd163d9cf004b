"""Means over seeds have the intervals that scipy gives, and one seed has none."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from storm_report.run_table import spread
from storm_report.seed_mean import counted_seeds, half_interval, mean_curve


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9))
def test_an_interval_is_student_s(values):
    from scipy import stats

    mean, deviation = spread(values)
    assume(deviation > 1e-6)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    half = half_interval(deviation, len(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-6, abs=1e-6)


def test_one_seed_and_equal_seeds_have_none():
    assert half_interval(0.0, 1) == half_interval(0.5, 1) == half_interval(0.0, 3) == 0.0


def test_a_mean_curve_is_as_long_as_the_shortest():
    points, halves = mean_curve([[(1, 2.0), (2, 4.0)], [(1, 4.0), (3, 4.0), (4, 9.0)]])
    assert points == [(1, 3.0), (2.5, 4.0)]
    assert halves == [pytest.approx(12.706, rel=1e-4), 0.0]


def test_unequal_numbers_of_seeds_are_told():
    assert (counted_seeds([3, 3]), counted_seeds([1, 3])) == ("3 seeds", "1 to 3 seeds")
