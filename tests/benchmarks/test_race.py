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
    for name in ("race", "race_grid", "race_replay", "results"):
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


def test_what_cells_share_counts_once(races):
    grid = races.Grid.read()
    cells, seeds, questions = grid.shape
    one = np.zeros((cells, seeds), int)
    one[0, 0] = questions
    two = one.copy()
    two[1, 0] = 10
    shared = grid.needs[0, 0] & grid.needs[1, 0]
    further = grid.flops[grid.needs[1, 0] & ~shared].sum()
    asked = grid.question * len(grid.tasks)
    assert grid.cost(one) == pytest.approx(grid.flops @ grid.needs[0, 0] + asked * questions)
    assert grid.cost(two) == pytest.approx(grid.cost(one) + further + asked * 10)


def test_a_replay_of_recorded_answers_leads_to_a_good_cell_for_a_quarter_of_them(races):
    grid = races.Grid.read().trained("curator=tinyworld/thresholds")
    assert {task.shape[0] for task in grid.tasks} == {len(grid.cells)} == {9}
    assert set(np.unique(grid.tasks)) <= {0.0, 1.0}
    found = [races.race_for_share(grid, np.random.default_rng(n)) for n in range(50)]
    assert np.mean([each.regret for each in found]) <= 0.005
    assert np.mean([each.dropped for each in found]) <= 0.05
    assert max(each.flops for each in found) <= 0.25


def test_a_replay_of_the_whole_grid_leads_to_a_good_cell_for_a_quarter_of_its_flops(races):
    grid = races.Grid.read()
    assert grid.shape == (27, 5, 240)
    found = [races.race_for_share(grid, np.random.default_rng(n)) for n in range(100)]
    random = [races.random_cells(1)(grid, np.random.default_rng(n)) for n in range(100)]
    regret = np.mean([each.regret for each in found])
    assert regret <= 0.005
    assert regret < np.mean([each.regret for each in random])
    assert np.mean([each.dropped for each in found]) <= 0.05
    assert max(each.flops for each in found) <= 0.25


def test_searches_of_the_recorded_grid_cost_no_more_than_a_quarter_of_it(races):
    pytest.importorskip("optuna")
    grid = races.Grid.read()
    draw = np.random.default_rng(0)
    for way in (races.random_cells(1), races.search("tpe", "merger.t")):
        found = way(grid, draw)
        assert 0 <= found.regret < 0.05
        assert 0.1 < found.flops <= 0.25


def test_the_record_is_that_of_sweeps(races, tmp_path, monkeypatch):
    folders = []
    with installed(ROOT / "tests/toys_quiz"):
        for amount in ("0.2", "0.6"):
            words = ("-m", "recipe=quiz", f"adder.amount={amount}", "seed=0,1,2")
            said = run(tmp_path, *words)
            assert said.code == 0
            folders.append(str(said.record.directory))
        monkeypatch.setattr(sys.modules["race_grid"], "RECORD", tmp_path / "answers.json")
        races.main(["record", *folders])
    grid = races.Grid.read()
    assert grid.names == ["adder.amount=0.2", "adder.amount=0.6"]
    assert grid.shape == (2, 3, 120)
    # Each evaluation needs its sum and the number before it, over all seeds the same.
    assert grid.needs.sum(-1).tolist() == [[2] * 3] * 2
    low, high = grid.scores.mean(1)
    assert low == pytest.approx(0.2, abs=0.1)
    assert high == pytest.approx(0.6, abs=0.1)
