"""Losses by step, of a run that trains and of one that was kept, as TensorBoard has them."""

from __future__ import annotations

import json

import pytest

from event_files import scalars
from storm_trackers.curves import running

STEPS = [{"step": 1, "loss": 2.0, "tokens": 10}, {"step": 2, "loss": 1.5, "tokens": 12}]
CURVES = {"loss": [(1, 2.0), (2, 1.5)], "step_tokens": [(1, 10.0), (2, 12.0)]}


def test_the_steps_of_an_artifact_are_shown(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    contents = {"steps": STEPS, "validation": [{"step": 2, "loss": 1.75}]}
    (tmp_path / "outputs/latest/adder/training.json").write_text(json.dumps(contents))
    assert storm("track", "latest", "tensorboard").code == 0
    shown = scalars(tmp_path / "outputs/latest/tracker/adder")
    assert CURVES.items() <= shown.items()
    assert shown["validation_loss"] == [(2, 1.75)]


def test_a_line_that_is_being_written_waits(tmp_path):
    folder = tmp_path / "training/finetuner"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("step,loss,tokens,validation_loss\n1,2.0,10,\n2,1.5,1")
    assert running(tmp_path) == {"finetuner": [{"step": 1, "loss": 2.0, "step_tokens": 10}]}


@pytest.mark.slow
def test_a_run_that_trains_is_shown_with_losses_evaluations_and_tables(storm, tmp_path):
    done = storm("recipe=smoke", "targets=[evaluator]", "tracker=tensorboard")
    assert done.code == 0, done.err
    assert done.record.problems == []
    top = (tmp_path / "outputs/latest/tracker").resolve()
    for stage in ("base_model", "finetuner"):
        training = done.stage(stage).read("training.json")
        shown = scalars(top / stage)
        wanted = [(entry["step"], pytest.approx(entry["loss"])) for entry in training["steps"]]
        assert shown["loss"] == wanted
        assert len(shown["step_tokens"]) == len(wanted) > 1
        assert shown["tokens"] == [(0, pytest.approx(done.stage(stage).metrics["tokens"]))]
    for model in ("base_model", "finetuner", "merger"):
        stage = done.stage(f"evaluator[{model}]")
        assert scalars(top / "evaluator" / model)["mean_score"][0][1] == pytest.approx(
            stage.metrics["mean_score"]
        )
