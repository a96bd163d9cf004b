"""The commands of docs/real-model.md and docs/function-calling.md, on a few rows."""

from __future__ import annotations

import json

import pytest

from end_to_end.workplace import Workplace
from storm_command.smollm2.environment import smollm2

EIGHT = ("runtime.accelerator=h100", "runtime.devices=8")
needs_wheel = pytest.mark.skipif(bool(smollm2().problem()), reason=f"needs {smollm2().command}")


def test_a_plan_asks_the_berkeley_leaderboard_without_its_environment(place: Workplace) -> None:
    words = ("plan", "recipe=storm_8b", "evaluator=bfcl", *EIGHT)
    said = place.run(*words, STORM_EXP_ENVIRONMENTS=str(place.folder))
    assert "11 tasks" in said


def test_a_plan_that_lacks_the_wheel_names_the_command(place: Workplace) -> None:
    words = ("plan", "recipe=storm", "base_model=smollm2_135m")
    said = place.run(*words, code=1, STORM_EXP_ENVIRONMENTS=str(place.folder))
    assert "create it: storm-exp env create smollm2" in said


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.timeout(3600)
@needs_wheel
def test_the_whole_of_storm_runs_on_a_real_model(place: Workplace) -> None:
    few = ("dataset.rows=24", "dataset.validation_rows=8", "partner.rows=24", "partner.steps=2")
    few += ("finetuner.steps=2", "finetuner.validation_rows=2", "finetuner.validation_every=2")
    few += ("evaluator.limit=1", "held_out.limit=4")
    place.run_interpreter("recipe=storm_smollm2", *few)
    assert all(stage["status"] == "made" for stage in place.stages())
    figures = place.folder / "outputs/latest/held_out/base_model/evaluation.json"
    assert json.loads(figures.read_text(encoding="utf-8"))["tasks"]["held_out_loss"]["score"] > 0
    config = place.folder / "outputs/latest/compressor/config.json"
    assert json.loads(config.read_text(encoding="utf-8"))["vocab_size"] == 49_152
