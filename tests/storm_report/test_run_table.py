"""Tables of sweeps: mean and spread over seeds, and only what differs."""

from __future__ import annotations

import csv
import math
import statistics
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from made_up import Maker
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.run_table import spread, summarise, sweep_table, write_sweep_table
from storm_report.whereabouts import write_cells


def a_cell(overrides: list[str], **metrics: float) -> CellRecord:
    """Return a cell whose stages have these main metrics."""
    stages = [
        StageRecord(
            stage=name,
            element="",
            component=name,
            artifact="Value",
            key=f"{name}{value}",
            inputs={},
            status="made",
            settings={},
            spec={},
            metrics={"value": value},
            main_metric="value",
        )
        for name, value in metrics.items()
    ]
    return CellRecord(name="", overrides=overrides, config={}, stages=stages)


def a_sweep(folder: Path, cells: list[CellRecord]) -> RunRecord:
    return Maker(folder).run(*cells, recipe="sum")


def test_mean_and_spread_are_over_seeds_of_the_same_settings(tmp_path):
    cells = [
        a_cell([f"t={t}", f"base.seed={seed}", "recipe=sum"], score=t * 10 + seed, same=1.0)
        for t in (1, 2)
        for seed in (1, 2, 3)
    ]
    names, labels, rows = summarise(a_sweep(tmp_path, cells))
    assert (names, labels) == (["t"], ["score"])
    assert [row["metrics"]["score"] for row in rows] == [(12.0, 1.0, 3), (22.0, 1.0, 3)]
    header, lines = sweep_table(a_sweep(tmp_path, cells))
    assert header == ["t", "n", "score"]
    assert lines == [["1", "3", "12 ± 1"], ["2", "3", "22 ± 1"]]


def test_figures_that_were_not_measured_on_the_same_say_so(tmp_path):
    cells = [
        a_cell([f"t={t}", f"seed={seed}"], alike=t + seed, apart=t * seed)
        for t in (1, 2)
        for seed in (1, 2)
    ]
    for cell, where in zip(cells, ("1", "2", "1", "2"), strict=True):
        cell.stages[0].measured_on = {"value": f"rows of seed {where}"}
    for cell, where in zip(cells, "aabb", strict=True):
        cell.stages[1].measured_on = {"value": f"rows {where}"}
    header, _ = sweep_table(a_sweep(tmp_path, cells))
    assert header == ["t", "n", "alike", "apart (not on the same rows)"]
    rows = list(
        csv.DictReader(write_sweep_table(a_sweep(tmp_path, cells)).read_text().splitlines())
    )
    assert [row["apart on"] for row in rows] == ["rows a", "rows b"]
    assert {row["alike on"] for row in rows} == {"rows of seed 1 rows of seed 2"}


def test_what_is_shown_beside_the_main_metric_has_a_column_of_its_own(tmp_path):
    cells = [a_cell([f"t={t}"], score=float(t)) for t in (1, 2)]
    for cell in cells:
        cell.stages[0].metrics |= {"loss": 1 / cell.stages[0].metrics["value"], "rows": 3.0}
        cell.stages[0].shown_metrics = ["loss"]
    header, lines = sweep_table(a_sweep(tmp_path, cells))
    assert header == ["t", "score", "score loss"]
    assert lines == [["1", "1", "1"], ["2", "2", "0.5"]]
    text = write_sweep_table(a_sweep(tmp_path, cells)).read_text()
    assert (
        text.splitlines()[0]
        == "t,cells,score,score sd,score n,score loss,score loss sd,score loss n"
    )


def test_a_cell_without_a_figure_leaves_a_gap(tmp_path):
    cells = [a_cell(["t=1"], score=1.0), a_cell(["t=2"])]
    _, lines = sweep_table(a_sweep(tmp_path, cells))
    assert lines == [["1", "1"], ["2", ""]]
    text = write_sweep_table(a_sweep(tmp_path, cells)).read_text()
    assert text.splitlines()[1:] == ["1,1,1.0,0.0,1", "2,1,,,0"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_spread_is_the_sample_standard_deviation(values):
    mean, deviation = spread(values)
    assert math.isclose(mean, statistics.fmean(values), abs_tol=1e-6)
    assert math.isclose(deviation, statistics.stdev(values), rel_tol=1e-6, abs_tol=1e-6)


def test_a_setting_that_a_spreadsheet_would_run_is_inert_in_the_files(tmp_path):
    record = a_sweep(tmp_path, [a_cell(["a==1+1"], score=1.0), a_cell(["a=-0.5"], score=2.0)])
    for file in (write_sweep_table(record), write_cells(record)):
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        assert [row["a"] for row in rows] == ["'=1+1", "-0.5"]
