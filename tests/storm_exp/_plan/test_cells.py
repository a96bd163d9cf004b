"""Stages of a sweep are told apart by as few settings as will do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm_exp._plan.cells import fewest_settings

SETTINGS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12")).map(
        lambda each: dict(sorted(each.items()))
    )
)


def test_what_an_arm_sets_besides_its_name_is_left_out():
    arms = [
        {"seed": "0"},
        {"seed": "1"},
        {"seed": "0", "arm": "slerp", "merger": "linear", "graph.merger.base": "null"},
        {"seed": "1", "arm": "slerp", "merger": "linear", "graph.merger.base": "null"},
    ]
    assert fewest_settings(arms) == [
        {"seed": "0"},
        {"seed": "1"},
        {"seed": "0", "arm": "slerp"},
        {"seed": "1", "arm": "slerp"},
    ]


def test_a_single_one_needs_none():
    assert fewest_settings([{"seed": "0"}]) == [{}]


@given(SETTINGS)
def test_those_that_differ_still_differ_and_none_is_more_than_is_needed(settings):
    fewest = fewest_settings(settings)
    assert [fewest.index(each) for each in fewest] == [settings.index(each) for each in settings]
    for dropped in {name for each in fewest for name in each}:
        fewer = [{k: v for k, v in each.items() if k != dropped} for each in fewest]
        assert len(set(map(str, fewer))) < len(set(map(str, fewest)))
