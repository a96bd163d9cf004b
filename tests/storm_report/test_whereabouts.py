"""A run ends with where its models are, a sweep with its winner and how to write its weights."""

from __future__ import annotations

import csv
import shlex

import pytest

from made_up import cell
from storm_report.whereabouts import find_winner

SWEEP = ("-m", "recipe=sum", "adder=stored", "adder.kilobytes=1", "adder.amount=1,3,2")


def test_a_run_says_where_its_model_is(storm):
    assert "model    outputs/latest/adder\n" in storm("recipe=sum", "adder=stored").out


def test_a_sweep_names_its_cells_by_what_differs(storm, tmp_path):
    said = storm(*SWEEP)
    assert "models   outputs/latest/cells/<cell>/<stage>" in said.out
    cells = tmp_path / "outputs/latest/cells"
    assert sorted(path.name for path in cells.iterdir()) == [f"adder.amount={n}" for n in (1, 2, 3)]
    assert (cells / "adder.amount=3/adder/value.json").read_text() == "4.0"


def test_a_sweep_names_its_winner_and_the_command_that_writes_it(storm, tmp_path):
    said = storm(*SWEEP)
    assert "winner   adder.amount=3: adder 4, the highest" in said.out
    command = said.out.partition("its model, with weights in files: ")[2].splitlines()[0]
    again = storm(*shlex.split(command)[1:])
    assert "nothing to make" in again.out
    assert again.stage("adder").read("value.json") == 4.0
    table = next((tmp_path / "outputs/runs").glob("*sweep/cells.csv")).read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["cell"] for row in rows] == [f"adder.amount={n}" for n in (1, 3, 2)]
    assert rows[1]["adder"] == "4.0"
    assert rows[1]["command"] == command
    assert (tmp_path / rows[1]["folder of adder"] / "value.json").read_text() == "4.0"


def test_the_command_of_a_named_sweep_runs_one_cell(storm):
    said = storm("sweep=amounts", "adder=stored", "adder.kilobytes=1")
    command = said.out.partition("its model, with weights in files: ")[2].splitlines()[0]
    assert "sweep=amounts" in command
    again = storm(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    assert not again.record.is_sweep
    assert "nothing to make" in again.out


def test_the_winner_over_seeds_is_that_of_the_mean(storm):
    said = storm(*SWEEP[:-1], "source=drawn", "seed=1,2", "adder.amount=1,30")
    assert "winner   " in said.out
    assert "adder.amount=30" in said.out.partition("winner   ")[2].splitlines()[0]


def test_a_sweep_whose_cells_are_alike_says_that_none_wins(storm):
    said = storm(*SWEEP[:-1], "adder.amount=2", "adder.kilobytes=1,2")
    assert "winner   none: adder is 3 in every cell" in said.out
    assert "weights in files" not in said.out


@pytest.mark.parametrize("status", ["failed", "interrupted", "not reached"])
def test_the_earlier_figure_of_a_cell_that_is_not_complete_wins_nothing(make, status):
    def evaluation(of, score):
        return make.stage(
            "evaluator",
            "Evaluation",
            element=of,
            metrics={"score": score},
            main_metric="score",
            measured_on={"score": "rows"},
        )

    partner, merged = evaluation("partner", 0.7), evaluation("merger", 0.6)
    lacking = make.stage("evaluator", "Evaluation", element="merger", status=status)
    run = make.run(
        cell(partner, merged, overrides=("recipe=storm", "merger.t=0.5")),
        cell(partner, lacking, overrides=("recipe=storm", "merger.t=0.9")),
    )
    assert find_winner(run) == "1 of 2 cells are not complete"


def test_without_a_figure_that_was_measured_on_data_nothing_wins(storm):
    assert "winner" not in storm("-m", "recipe=sum", "adder.amount=1,2").out


def test_names_of_cells_that_are_no_folders_names_are_made_ones(storm, tmp_path):
    words = [f"adder.amount={n}" for n in ("1", "2")]
    said = storm("-m", "recipe=sum", "adder.amount=1,2", "targets=[adder],[adder,total]")
    assert said.code == 0, words
    names = sorted(path.name for path in (tmp_path / "outputs/latest/cells").iterdir())
    assert names == [
        "adder.amount=1,targets=-adder,total-",
        "adder.amount=1,targets=-adder-",
        "adder.amount=2,targets=-adder,total-",
        "adder.amount=2,targets=-adder-",
    ]
