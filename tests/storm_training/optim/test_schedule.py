from __future__ import annotations

import pytest

from storm_training.optim.schedule import learning_rate
from storm_training.testing import small_settings


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(step, 100, small_settings(warmup_ratio=0.1)) for step in range(100)]
    assert rates[0] == pytest.approx(1e-3) and rates[9] == pytest.approx(1e-2)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(1e-3)
    constant = small_settings(schedule="constant", warmup_ratio=0)
    assert {learning_rate(step, 10, constant) for step in range(10)} == {1e-2}
    linear = small_settings(schedule="linear", warmup_ratio=0, min_lr_ratio=0.0)
    assert learning_rate(10, 11, linear) == pytest.approx(0)


def test_stages_in_turn_go_through_one_schedule():
    whole = [learning_rate(step, 90, small_settings(warmup_ratio=0.1)) for step in range(90)]
    parts = [
        learning_rate(
            step, 30, small_settings(warmup_ratio=0.1, schedule_from=start, schedule_to=end)
        )
        for start, end in ((0.0, 0.33333), (0.33333, 0.66667), (0.66667, 1.0))
        for step in range(30)
    ]
    assert parts == pytest.approx(whole)
