from __future__ import annotations

import numpy as np
import pytest

from storm_evaluation.comparison.untouched import Split, TouchedTask, split

Z = 1.959963984540054


def made(seed: int, size: int, touched: float, weights: bool = False) -> TouchedTask:
    draw = np.random.default_rng(seed)
    held = draw.random(size) < touched
    scores = (draw.random(size) < np.where(held, 0.9, 0.5)).astype(np.float64)
    return TouchedTask(
        scores_N=scores,
        weights_N=draw.integers(1, 30, size).astype(np.float64) if weights else np.ones(size),
        touched_N=held,
    )


def known(tasks: list[TouchedTask]) -> Split:
    result = split(tasks, Z)
    assert result is not None
    return result


def test_the_means_are_those_of_all_questions_and_of_the_untouched_ones() -> None:
    first, second = made(0, 50, 0.3), made(1, 80, 0.2, weights=True)
    result = known([first, second])
    means = [np.average(t.scores_N, weights=t.weights_N) for t in (first, second)]
    left = [
        np.average(t.scores_N[~t.touched_N], weights=t.weights_N[~t.touched_N])
        for t in (first, second)
    ]
    assert result.every == pytest.approx(np.mean(means))
    assert result.untouched == pytest.approx(np.mean(left))
    assert result.gain == pytest.approx(np.mean(means) - np.mean(left))


@pytest.mark.parametrize("weights", [False, True])
def test_the_interval_is_that_of_a_bootstrap_over_questions(weights: bool) -> None:
    tasks = [made(2, 300, 0.25, weights), made(3, 200, 0.1, weights)]
    result = known(tasks)
    draw = np.random.default_rng(4)
    gains = []
    for _ in range(2000):
        parts = []
        for task in tasks:
            some = draw.integers(0, len(task.scores_N), len(task.scores_N))
            s, w, free = task.scores_N[some], task.weights_N[some], ~task.touched_N[some]
            parts.append(np.average(s, weights=w) - np.average(s[free], weights=w[free]))
        gains.append(np.mean(parts))
    assert (result.high - result.low) / 2 / Z == pytest.approx(np.std(gains), rel=0.08)


def test_without_touched_questions_nothing_is_added() -> None:
    result = known([made(5, 40, 0.0)])
    assert (result.gain, result.low, result.high) == (0, 0, 0)


def test_a_task_of_which_all_questions_are_touched_leaves_nothing_to_say() -> None:
    assert split([made(6, 40, 0.3), made(7, 10, 1.1)], Z) is None
