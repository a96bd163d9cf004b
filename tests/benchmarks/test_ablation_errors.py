"""The ledger's errors over all factors, on made-up data: fewer trials than the benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRIALS = 300
MOST = 5 + 300 * (0.05 * 0.95 / TRIALS) ** 0.5
"""The share in % that 5 % does not exceed by chance."""


@pytest.fixture
def simulation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import ablation_errors

    yield ablation_errors
    for name in ("ablation_errors", "false_positives", "results"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("design", "name"),
    [("one_out", "0.008 in all"), ("one_out", "0.016 in both, 0.004"), ("full", "0.008 in all")],
)
def test_over_all_factors_the_ledger_errs_seldom(simulation, design, name):
    case = next(
        case
        for case in simulation.cases()
        if (case.design, case.name, case.world.heterogeneous, case.world.runs)
        == (design, name, True, 3)
    )
    found = simulation.measure(case, TRIALS, seed=1)
    assert max(found.rejected, found.missed, found.claimed) <= MOST
    assert found.planned == pytest.approx(found.found, abs=9)  # three errors of the simulated


def test_the_page_holds_the_table_of_every_case_within_its_bars(simulation):
    text = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    table = text.partition("<!-- ablations -->")[2].partition("<!-- /ablations -->")[0]
    assert "2,000 trials a row" in table
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")]
        for line in table.splitlines()
        if line.startswith(("| one_out", "| full"))
    ]
    cases = list(simulation.cases())
    assert [row[:4] for row in rows] == [
        [case.design, case.name, "yes" if case.world.heterogeneous else "no", str(case.world.runs)]
        for case in cases
    ]
    for case, row in zip(cases, rows, strict=True):
        assert max(map(float, row[4:7])) <= simulation.BAR, row
        planned, found = map(float, row[7:9])
        alike = len(set(case.world.run_sds)) == 1
        by_chance = 0 if alike else 1  # the error of a count over 2,000 trials
        assert abs(planned - found) <= simulation.APART + by_chance, row
