"""A score is shown with its error, and where that is not known with an interval, never as ± 0."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from storm_report.score_interval import score_interval, shown_score


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
