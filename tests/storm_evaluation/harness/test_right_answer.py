from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from storm_evaluation.harness.right_answer import measure, right_choices

LIKELIHOODS = st.lists(st.floats(-2000, 0), min_size=2, max_size=6)


@given(LIKELIHOODS)
def test_the_probability_is_the_softmax_of_the_right_choice(likelihoods: list[float]) -> None:
    found = measure(likelihoods, [1])
    assert found["probability"] == pytest.approx(softmax(likelihoods)[1], abs=1e-12)
    assert found["log_likelihood"] == likelihoods[1]


@given(LIKELIHOODS)
def test_if_all_are_right_the_probability_is_one(likelihoods: list[float]) -> None:
    found = measure(likelihoods, range(len(likelihoods)))
    assert found["probability"] == pytest.approx(1.0)
    assert found["log_likelihood"] == max(likelihoods)


def test_one_answer_has_no_probability_and_none_no_measure() -> None:
    assert measure([-3.0], [0]) == {"log_likelihood": -3.0}
    assert measure([-3.0, -1.0], []) == {}
    assert measure([-math.inf, -1.0], [0]) == {}


@pytest.mark.parametrize(
    ("target", "right"),
    [(1, [1]), ("b", [1]), ([0, 2], [0, 2]), (7, []), ("z", []), (["c"], [2]), (-100, [])],
)
def test_a_target_is_a_position_a_text_or_several(target: object, right: list[int]) -> None:
    task = SimpleNamespace(multiple_input=False)
    assert right_choices(task, {}, target, ["a", "b", "c"]) == right
