"""The test by which cells are dropped from a race."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from storm_evaluation.race.elimination import Elimination
from storm_evaluation.race.ladder import Rung, ladder


def test_rungs_add_questions_then_seeds():
    steps = [Rung(20, 1), Rung(60, 1), Rung(None, 1), Rung(None, 2), Rung(None, 4), Rung(None, 5)]
    assert ladder([20, 60], 5) == steps
    assert ladder([], 1) == [Rung(None, 1)]
    short = [Rung(60, 1, count) for count in (100, 200)]
    assert ladder([20, 60], 5, [100, 200]) == short + steps


def test_the_width_of_one_seed_is_that_of_a_paired_test_and_of_the_stated_runs():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(2, 1, 400))
    test = Elimination(cells=2, rungs=1, error=0.025, run_sd=0.0)
    found = test.judge([scores], np.ones(2, bool))
    differences = scores[1 - found.leader, 0] - scores[found.leader, 0]
    expected = stats.norm.isf(0.025) * stats.sem(differences)
    assert found.half_width[1 - found.leader] == pytest.approx(expected)
    wide = Elimination(cells=2, rungs=1, error=0.025, run_sd=0.1)
    wider = wide.judge([scores], np.ones(2, bool)).half_width[1 - found.leader]
    runs = stats.norm.isf(0.025) * 0.1 * 2**0.5
    assert wider == pytest.approx(np.hypot(expected, runs))


def test_the_error_is_shared_by_rungs_and_by_the_cells_that_may_look_better():
    assert Elimination(cells=27, rungs=6, error=0.05).tail == pytest.approx(0.05 / 6 / 26)


def test_runs_that_vary_more_than_stated_widen_the_interval():
    draw = np.random.default_rng(1)
    questions = draw.random((1, 1, 2000))
    steady = np.repeat(questions, 6, 0) + draw.normal(0, 0.001, (6, 4, 2000))
    unsteady = steady + draw.normal(0, 0.1, (6, 4, 1))
    test = Elimination(cells=6, rungs=1, run_sd=0.01)
    left = np.ones(6, bool)
    narrow, wide = (test.judge([task], left).half_width.max() for task in (steady, unsteady))
    assert wide > 4 * narrow
    assert narrow == pytest.approx(-stats.norm.ppf(test.tail) * 0.01 * 2**0.5 / 2, rel=0.05)


def test_a_cell_that_was_dropped_takes_no_part():
    scores = np.zeros((3, 1, 50))
    scores[0] = 1.0
    test = Elimination(cells=3, rungs=2, run_sd=0.0)
    first = test.judge([scores], np.ones(3, bool))
    assert first.leader == 0
    assert first.left.tolist() == [True, False, False]
    without = test.judge([scores], np.array([False, True, True]))
    assert without.leader == 1
    assert without.left.tolist() == [False, True, True]


def test_few_questions_prove_little_though_all_say_the_same():
    test = Elimination(cells=27, rungs=6, run_sd=0.0)
    scores = np.zeros((27, 1, 5))
    scores[0] = 1.0
    assert test.judge([scores], np.ones(27, bool)).left.all()


def test_races_in_a_batch_are_those_one_by_one():
    draw = np.random.default_rng(2)
    tasks = [draw.random((3, 5, 2, 40)).round() for _ in range(2)]
    left = draw.random((3, 5)) < 0.8
    left[:, 0] = True
    test = Elimination(cells=5, rungs=3)
    together = test.judge(tasks, left)
    for race in range(3):
        alone = test.judge([task[race] for task in tasks], left[race])
        assert alone.leader == together.leader[race]
        np.testing.assert_allclose(alone.half_width, together.half_width[race])
        assert alone.left.tolist() == together.left[race].tolist()
