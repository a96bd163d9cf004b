import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from storm_curation.judge.judge_accuracy import accuracy, area_under_curve

scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=20)


@given(scores, scores)
def test_area_is_the_mann_whitney_statistic_over_the_pairs(positive, negative):
    expected = mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert area_under_curve(positive, negative) == pytest.approx(expected)


def test_area_of_one_sided_truth_is_unknown():
    assert area_under_curve([1.0], []) is None


def test_accuracy_is_the_share_of_equal_labels():
    assert accuracy(["a", "b", "a"], ["a", "b", "b"]) == pytest.approx(2 / 3)
    assert accuracy([], []) is None
