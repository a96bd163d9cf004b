"""Interim models are in the tables beside a sweep, and not among what it ends with."""

from __future__ import annotations

import csv
from pathlib import Path

from made_up import Maker, cell
from storm_exp.report import CellRecord, RunRecord
from storm_report.interim import without_interim
from storm_report.run_table import sweep_table, write_sweep_table
from storm_report.whereabouts import find_winner, whereabouts, write_cells
from storm_report.winner_note import winner_note


def trained(make: Maker, rate: float) -> CellRecord:
    """Return a training with one interim model, which stands behind it, both evaluated."""
    base = make.stage("base_model", "Checkpoint", shown_as="model")
    models = [
        make.stage(
            name,
            "Checkpoint",
            inputs={"model": base.key},
            shown_as="model",
            main_metric="loss",
            metrics={"loss": rate},
            settings={"learning_rate": rate},
        )
        for name in ("finetuner", "finetuner_step_100")
    ]
    scores = [
        make.stage(
            evaluator,
            "Evaluation",
            inputs={"model": model.key},
            element=model.stage,
            main_metric="mean_score",
            metrics={"mean_score": score},
            measured_on={"mean_score": "these"},
        )
        for evaluator, model, score in (
            ("evaluator_interim", models[1], 0.9),
            ("evaluator", models[0], rate),
        )
    ]
    return cell(base, *models, *scores, overrides=(f"finetuner.learning_rate={rate}",))


def sweep(tmp_path: Path) -> RunRecord:
    make = Maker(tmp_path)
    return make.run(*(trained(make, rate) for rate in (0.1, 0.3)))


def test_a_sweep_ends_with_the_models_of_its_recipe(tmp_path):
    run = sweep(tmp_path)
    header, rows = sweep_table(run)
    assert header == ["finetuner.learning_rate", "finetuner", "evaluator[finetuner]"]
    assert [row[-1] for row in rows] == ["0.1", "0.3"]
    assert winner_note(run).count("cells/finetuner.learning_rate=0.3/finetuner</code>") == 1
    alone = RunRecord(**{**vars(run), "cells": run.cells[:1]})
    models = [line.rpartition("/")[2] for line in whereabouts(alone)]
    assert models == ["base_model", "finetuner"]


def test_the_tables_beside_a_sweep_have_every_model(tmp_path):
    run = sweep(tmp_path)
    for file in (write_cells(run), write_sweep_table(run)):
        with file.open(encoding="utf-8", newline="") as stream:
            header = next(csv.reader(stream))
        assert "evaluator_interim[finetuner_step_100]" in header
        assert "finetuner_step_100" in header
    assert "folder of finetuner_step_100" in (run.directory / "cells.csv").read_text()


def test_a_cell_without_a_score_does_not_win_by_that_of_an_interim_model(tmp_path):
    run = sweep(tmp_path)
    for each in run.cells:
        each.stages.pop()
    assert find_winner(run) == ""


def test_a_model_that_the_recipe_uses_is_not_interim(tmp_path):
    make = Maker(tmp_path)
    one = trained(make, 0.1)
    middle = next(stage for stage in one.stages if stage.stage == "finetuner_step_100")
    merger = make.stage("merger", "Checkpoint", inputs={"models": [middle.key]})
    one.stages.append(merger)
    names = [stage.stage for stage in without_interim(one)]
    assert names == ["base_model", "finetuner", "finetuner_step_100", "evaluator", "merger"]
