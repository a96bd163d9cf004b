from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from storm_evaluation.comparison import significance

binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80)


@given(binary)
def test_mcnemar_is_the_binomial_test_of_the_documents_that_differ(
    pairs: list[tuple[int, int]],
) -> None:
    first, second = np.array(pairs, dtype=float).T
    wins, losses = int(((first == 0) & (second == 1)).sum()), int((first > second).sum())
    expected = binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert significance.mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert significance.mcnemar(second, first) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_survives_many_documents() -> None:
    assert significance.binomial_half(24_000, 50_000) == pytest.approx(
        binomtest(24_000, 50_000).pvalue, rel=1e-6
    )


def test_the_bootstrap_is_paired() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=200)
    scores = np.stack([first, first + 0.1])
    draws = significance.bootstrap_means(scores, np.ones_like(scores), 500, rng)
    low, high = significance.interval(draws[:, 1] - draws[:, 0], 0.95)
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert np.ptp(draws[:, 0]) > 0.1, "the means themselves do vary"


def test_the_bootstrap_interval_has_the_width_of_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(1, 400))
    draws = significance.bootstrap_means(scores, np.ones_like(scores), 4000, rng)
    low, high = significance.interval(draws[:, 0], 0.95)
    expected = 2 * 1.96 * scores.std() / 20
    assert high - low == pytest.approx(expected, rel=0.06)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        shift = rng.normal(0.3, 1.0, size=60)
        scores = np.stack([np.zeros(60), shift])
        draws = significance.bootstrap_means(scores, np.ones_like(scores), 300, rng)
        low, high = significance.interval(draws[:, 1] - draws[:, 0], 0.95)
        covered += low <= 0.3 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_weights_enter_the_bootstrap() -> None:
    scores, weights = np.array([[1.0, 5.0]]), np.array([[3.0, 1.0]])
    rng = np.random.default_rng(0)
    draws = significance.bootstrap_means(scores, weights, 400, rng)[:, 0]
    assert set(np.round(draws, 6)) == {1.0, 2.0, 5.0}


def test_sign_flips_agree_with_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1.0, size=12)
    exact = permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    ours = significance.sign_flip(differences, 20_000, np.random.default_rng(0))
    assert ours == pytest.approx(exact, abs=0.01)


def test_no_difference_has_p_one_and_p_is_never_zero() -> None:
    rng = np.random.default_rng(0)
    assert significance.sign_flip(np.zeros(9), 100, rng) == 1.0
    assert significance.sign_flip(np.ones(50), 100, rng) == pytest.approx(1 / 101)


def test_holm_by_hand() -> None:
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p(p_values: list[float]) -> None:
    adjusted = significance.holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(by_p))


def test_contributions_sum_to_the_difference_of_weighted_means() -> None:
    first, second = np.array([1.0, 2.0]), np.array([4.0, 0.0])
    ones, weights = np.ones(2), np.array([1.0, 3.0])
    terms = significance.contributions((first, second), (ones, weights))
    assert terms.sum() == pytest.approx(1.0 - 1.5)


def test_the_clustered_error_is_that_of_a_mean_of_tasks() -> None:
    assert significance.clustered_stderr([0.1, 0.3, 0.2]) == pytest.approx(0.1 / np.sqrt(3))
    assert significance.clustered_stderr([0.1]) is None
