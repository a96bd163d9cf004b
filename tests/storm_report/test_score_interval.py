"""A score is shown with its error, and where that is not known with an interval, never as ± 0."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from storm_report.score_interval import mean_interval, score_interval, shown_score, within


@pytest.mark.parametrize(
    ("score", "stderr", "documents", "text"),
    [
        (0.65, 0.0134, 240, "0.650 ± 0.013"),
        (0.65, 0.0001234, 240, "0.650 ± 0.0001"),
        (0.65, None, 240, "0.650"),
        (0.65, None, 0, "0.650"),
        (0.0, 0.0, 0, "0.000"),
        (0.0, 0.0, 240, "0.000 [0.000, 0.016]"),
        (1.0, 0.0, 240, "1.000 [0.984, 1.000]"),
        (0.5, 0.0, 240, "0.500"),
        (2.5, 0.0, 240, "2.500"),
    ],
)
def test_no_score_is_shown_as_more_certain_than_it_is(score, stderr, documents, text):
    assert shown_score(score, stderr, documents) == text


@pytest.mark.parametrize(("right", "documents"), [(0, 6), (1, 1), (3, 7), (156, 240), (240, 240)])
def test_the_interval_of_a_share_is_scipys(right, documents):
    share = right / documents
    stderr = (share * (1 - share) / (documents - 1)) ** 0.5 if documents > 1 else None
    expected = binomtest(right, documents).proportion_ci(0.95, "wilson")
    assert score_interval(share, stderr, documents) == pytest.approx(tuple(expected), abs=1e-12)


def test_the_interval_of_no_right_answer_has_wilson_s_closed_form():
    assert score_interval(0.0, 0.0, 6) == pytest.approx((0.0, 1.96**2 / (6 + 1.96**2)), abs=1e-4)


def share(right: int, documents: int) -> tuple[float, float, int]:
    score = right / documents
    return score, (score * (1 - score) / (documents - 1)) ** 0.5, documents


@pytest.mark.parametrize("rights", [(0, 0), (0, 1), (39, 40), (40, 40), (0, 40)])
def test_the_interval_of_a_mean_of_shares_stays_between_0_and_1(rights):
    low, high = mean_interval([share(right, 40) for right in rights]) or (-1.0, 2.0)
    mean = sum(rights) / 80
    assert 0 <= low <= mean <= high <= 1 and high - low > 0.04


def test_the_interval_of_the_mean_of_one_task_is_the_tasks():
    assert mean_interval([share(3, 7)]) == pytest.approx(score_interval(*share(3, 7)))
    assert mean_interval([(2.5, 0.1, 40)]) == pytest.approx((2.304, 2.696))
    assert mean_interval([(2.5, None, 1)]) is None


def test_the_interval_of_the_mean_of_many_questions_is_that_of_the_normal_distribution():
    tasks = [share(620, 2000), share(1300, 2000)]
    half = 1.96 * np.hypot(tasks[0][1], tasks[1][1]) / 2
    assert mean_interval(tasks) == pytest.approx((0.48 - half, 0.48 + half), abs=5e-4)


@pytest.mark.parametrize("chances", [(0.02, 0.1), (0.5, 0.97)])
def test_the_interval_of_a_mean_of_shares_covers_it(chances):
    draw = np.random.default_rng(0)
    trials, truth = 2000, sum(chances) / 2
    found = draw.binomial(40, chances, (trials, 2))
    covered = 0
    for rights in found:
        low, high = mean_interval([share(int(right), 40) for right in rights]) or (0.0, 0.0)
        covered += low <= truth <= high
    assert 0.93 < covered / trials < 0.985


def test_an_interval_over_seeds_ends_where_shares_do():
    assert within(-0.1, 1.2, True) == (0.0, 1.0)
    assert within(-0.1, 1.2, False) == (-0.1, 1.2)
