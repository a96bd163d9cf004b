"""What is not dominated is what no other is as good as in both respects and better in one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm_report.frontier import dominators

POINT = st.tuples(st.integers(0, 4), st.integers(0, 4))


def test_less_cost_and_more_score_dominate():
    assert dominators([(1, 0.5), (2, 0.9), (3, 0.9), (4, 0.1)]) == [None, None, 1, 1]


def test_equals_do_not_dominate_each_other():
    assert dominators([(1, 1), (1, 1)]) == [None, None]


@given(st.lists(POINT, max_size=8))
def test_only_what_is_not_dominated_dominates(points):
    found = dominators(points)
    for (cost, score), above in zip(points, found, strict=True):
        others = [(c, s) for c, s in points if c <= cost and s >= score and (c, s) != (cost, score)]
        assert (above is None) == (not others)
        if above is not None:
            assert found[above] is None and points[above] in others
