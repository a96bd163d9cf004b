"""Races on made-up data: fewer than the benchmark's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from storm_exp.testing import installed, run

ROOT = Path(__file__).parents[2]
RACES = 100


@pytest.fixture
def races(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import race

    yield race
    for name in ("race", "results"):
        sys.modules.pop(name, None)


def test_the_best_cell_is_seldom_dropped_and_clearly_worse_ones_are(races):
    effects = (0.15, 0.12, *(0.0,) * (races.CELLS - 2))
    world = races.World(run_sd=0.008, own_sd=0.9, effects=effects)
    outcome = races.race(world.draw(RACES, seed=1), run_sd=0.01)
    assert np.mean(~outcome.left[:, 0]) <= 0.05 + 3 * (0.05 * 0.95 / RACES) ** 0.5
    assert outcome.left[:, 1].mean() > 0.5
    assert outcome.left[:, 2:].mean() < 0.1
    assert outcome.asked.mean() < 0.5


def test_the_simulation_tells_who_forgets_the_runs(races):
    world = races.World(run_sd=0.04, own_sd=0.0, effects=(0.0,) * races.CELLS)
    dropped = [
        np.mean(~races.race(world.draw(RACES, seed=2), run_sd=run_sd).left[:, 0])
        for run_sd in (0.0, 0.04)
    ]
    assert dropped[0] > 0.2
    assert dropped[1] <= 0.05 + 3 * (0.05 * 0.95 / RACES) ** 0.5


def test_made_effects_are_those_of_the_scores(races):
    effects = (0.1, *(0.0,) * (races.CELLS - 1))
    world = races.World(run_sd=0.0, own_sd=0.9, effects=effects)
    (tasks,) = world.draw(20, seed=3)
    scores = np.mean([task.mean((0, 2, 3)) for task in tasks], 0)
    assert scores[0] - scores[1:].mean() == pytest.approx(0.1, abs=0.01)


def test_a_replay_of_recorded_answers_leads_to_a_good_cell_for_a_quarter_of_them(races):
    cells, tasks = races.recorded()
    assert {task.shape[0] for task in tasks} == {len(cells)}
    assert set(np.unique(tasks)) <= {0.0, 1.0}
    (_, regret, dropped, asked), _ = races.replay(tasks, 50)
    assert float(regret) <= 0.005
    assert float(dropped.removesuffix(" %")) <= 5
    assert float(asked.removesuffix(" %")) <= 25


def test_the_record_is_that_of_a_sweep(races, tmp_path, monkeypatch):
    with installed(ROOT / "tests/toys_quiz"):
        words = ("-m", "recipe=quiz", "adder.amount=0.2,0.6", "seed=0,1,2")
        assert run(tmp_path, *words).code == 0
    monkeypatch.setattr(races, "RECORD", tmp_path / "answers.json")
    races.main(["record", str(tmp_path / "outputs/latest")])
    cells, tasks = races.recorded()
    assert cells == ["adder.amount=0.2", "adder.amount=0.6"]
    assert [task.shape for task in tasks] == [(2, 3, 120)] * 2
    low, high = np.mean([task.mean((1, 2)) for task in tasks], 0)
    assert low == pytest.approx(0.2, abs=0.1)
    assert high == pytest.approx(0.6, abs=0.1)
