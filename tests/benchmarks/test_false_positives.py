"""The declared test over runs and questions, on made-up data: fewer trials than the benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).parents[2]
TRIALS = 400
MOST = 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""The share that 5 % does not exceed by chance."""


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import false_positives

    yield false_positives
    for name in ("false_positives", "results"):
        sys.modules.pop(name, None)


def test_a_true_null_is_seldom_rejected_where_runs_differ_and_unequally(simulation):
    wrong = {}
    for name in ("0.016 in all", "0.016 in both, 0.004"):
        world = simulation.worlds()[name, False, 3]
        found = world.simulate((0.0,) * simulation.ARMS, TRIALS, seed=1)
        size = np.abs(found.difference[:, 0])
        assert np.mean(size > found.half_width(0.05)[:, 0]) <= MOST, name
        of_questions = 1.96 * np.sqrt(found.questions[:, 0])
        pooled = stats.t.isf(0.025, found.freedom) ** 2 * found.pooled[:, 0]
        wrong[name] = (
            np.mean(size > of_questions),
            np.mean(size > np.sqrt(pooled + of_questions**2)),
        )
    # The simulation tells: who forgets the runs errs, and who takes them to vary alike.
    assert wrong["0.016 in all"][0] > 2 * MOST
    assert wrong["0.016 in both, 0.004"][1] > MOST


def test_an_effect_of_four_hundredths_is_mostly_found_with_five_seeds(simulation):
    world = simulation.worlds()["0.008 in all", False, 5]
    found = world.simulate((0.0, 0.04, 0.0, 0.0, 0.0, 0.0), TRIALS // 2, seed=2)
    assert np.mean(found.p_values()[:, 0] < 0.05) > 0.7
    covered = np.abs(found.difference[:, 0] - 0.04) < found.half_width(0.05)[:, 0]
    assert np.mean(covered) > 0.9


def test_the_page_holds_the_table_of_every_world_within_its_bars(simulation):
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    assert "2,000 trials a row" in text
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in text.partition("<!-- simulated -->")[2].splitlines()
        if line.startswith("| 0")
    ]
    known = {(name, "yes" if het else "no", str(runs)) for name, het, runs in simulation.worlds()}
    assert {tuple(row[:3]) for row in rows} == known
    for row in rows:
        assert float(row[3]) <= 6.5 and float(row[4]) >= 93.5, row
