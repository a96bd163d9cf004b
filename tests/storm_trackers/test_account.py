"""What trackers are told of metrics."""

from __future__ import annotations

import pytest

from storm_trackers.account import with_intervals


def test_an_error_gives_an_interval_and_an_error_of_zero_none() -> None:
    metrics = {"score": 0.5, "score_stderr": 0.1, "right": 0.0, "right_stderr": 0.0}
    more = with_intervals(metrics)
    assert more.keys() - metrics.keys() == {"score_low", "score_high"}
    assert (more["score_low"], more["score_high"]) == pytest.approx((0.304, 0.696))
