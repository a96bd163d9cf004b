"""Comparison of calls with the accepted ones."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_evaluation.function_calling.checker import (
    COUNT,
    MISSING,
    NAME,
    TYPE,
    UNEXPECTED,
    VALUE,
    mistake,
)
from storm_models.chat.tool_calls import ToolCall

TYPES = {
    "place": {"type": "string"},
    "days": {"type": "integer"},
    "rate": {"type": "float"},
    "sure": {"type": "boolean"},
    "names": {"type": "array", "items": {"type": "string"}},
    "at": {"type": "tuple", "items": {"type": "float"}},
    "more": {"type": "dict", "properties": {}},
}
FORECAST = {"name": "forecast", "parameters": {"properties": TYPES, "required": ["place"]}}
BOOK = {"name": "book", "parameters": {"properties": {"day": {"type": "string"}}, "required": []}}
OFFERED = [FORECAST, BOOK]
RIGHT = {
    "place": ["New York, NY", "NYC"],
    "days": [3, ""],
    "rate": [0.5, 2.0, ""],
    "sure": [True, ""],
    "names": [["Ann", "Bob"], ""],
    "at": [[1.5, 2.0], ""],
    "more": [{"units": ["metric", "SI"], "hours": [1, ""]}, ""],
}


def wrong(arguments, name="forecast", right=RIGHT):
    return mistake([ToolCall(name, arguments)], OFFERED, [{"forecast": right}])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"place": "nyc"},
        {"place": "new york NY."},
        {"days": 3},
        {"rate": 2.0},
        {"rate": 2},
        {"sure": True},
        {"names": ["ann", "BOB"]},
        {"at": [1.5, 2.0]},
        {"more": {"units": "si"}},
        {"more": {"units": "metric", "hours": 1}},
        {"days": 3, "rate": 0.5, "sure": True},
    ],
    ids=str,
)
def test_accepted_calls_are_right(more):
    assert wrong({"place": "NYC", **more}) == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, MISSING),
        ({"days": 3}, MISSING),
        ({"place": "Boston"}, VALUE),
        ({"place": 7}, TYPE),
        ({"place": ["NYC"]}, TYPE),
        ({"place": "NYC", "days": 4}, VALUE),
        ({"place": "NYC", "days": "3"}, TYPE),
        ({"place": "NYC", "days": 3.0}, TYPE),
        ({"place": "NYC", "days": True}, TYPE),
        ({"place": "NYC", "days": None}, TYPE),
        ({"place": "NYC", "sure": 1}, TYPE),
        ({"place": "NYC", "sure": False}, VALUE),
        ({"place": "NYC", "names": ["Bob", "Ann"]}, VALUE),
        ({"place": "NYC", "names": ["Ann"]}, VALUE),
        ({"place": "NYC", "names": ["Ann", 2]}, TYPE),
        ({"place": "NYC", "at": [1.5, 2]}, TYPE),
        ({"place": "NYC", "more": {"units": "imperial"}}, VALUE),
        ({"place": "NYC", "more": {"hours": 1}}, VALUE),
        ({"place": "NYC", "more": {"units": "SI", "minutes": 1}}, VALUE),
        ({"place": "NYC", "more": {"units": "SI", "hours": True}}, VALUE),
        ({"place": "NYC", "colour": "red"}, UNEXPECTED),
        ({"Place": "NYC"}, MISSING),
    ],
    ids=str,
)
def test_other_calls_are_wrong(arguments, problem):
    assert wrong(arguments) == problem


def test_another_name_is_wrong_even_if_it_is_offered():
    assert wrong({"place": "NYC"}, name="book") == NAME
    assert wrong({"place": "NYC"}, name="Forecast") == NAME


def test_an_optional_argument_may_be_required_by_the_answer():
    right = {"place": ["NYC"], "days": [3]}
    assert wrong({"place": "NYC"}, right=right) == MISSING
    assert wrong({"place": "NYC", "days": 3}, right=right) == ""


def test_a_variable_may_stand_for_a_number_if_the_answer_has_it():
    assert (
        wrong({"place": "NYC", "days": "days_left"}, right={**RIGHT, "days": ["days_left"]}) == ""
    )


PLACES = ["a", "b", "c"]
SEVERAL = [{"forecast": {"place": [place]}} for place in PLACES]


@pytest.mark.parametrize("order", list(itertools.permutations(PLACES)))
def test_several_calls_may_come_in_any_order(order):
    calls = [ToolCall("forecast", {"place": place}) for place in order]
    assert mistake(calls, OFFERED, SEVERAL) == ""


@given(
    st.lists(st.sampled_from("abcd"), max_size=5), st.permutations([{"a"}, {"a", "b"}, {"b", "c"}])
)
def test_calls_are_right_exactly_if_some_assignment_matches(places, accepted):
    calls = [ToolCall("forecast", {"place": place}) for place in places]
    entries = [{"forecast": {"place": sorted(each)}} for each in accepted]
    fits = len(places) == len(accepted) and any(
        all(place in each for place, each in zip(order, accepted, strict=True))
        for order in itertools.permutations(places)
    )
    assert (mistake(calls, OFFERED, entries) == "") is fits


def test_missing_surplus_or_repeated_calls_are_wrong():
    calls = [ToolCall("forecast", {"place": place}) for place in PLACES]
    assert mistake(calls[:2], OFFERED, SEVERAL) == COUNT
    assert mistake([*calls, calls[0]], OFFERED, SEVERAL) == COUNT
    assert mistake([], OFFERED, SEVERAL) == COUNT
    assert mistake([calls[0], calls[0], calls[2]], OFFERED, SEVERAL) == VALUE
    assert mistake([], OFFERED, []) == ""
