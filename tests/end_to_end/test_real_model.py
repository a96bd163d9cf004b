"""The commands of docs/real-model.md and docs/function-calling.md, on a few rows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from storm_command.smollm2.environment import smollm2
from storm_inference.environments.llama_cpp import llama_cpp

PAGE = (Path(__file__).parents[2] / "docs/real-model.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (?:storm-exp|python -m storm_exp) (.*)$", PAGE, re.M)
PLANS = [command for command in COMMANDS if command.startswith("plan ")]
RUN = "recipe=storm_smollm2"
CHATS = [command for command in COMMANDS if command.startswith("chat ")]
CREATE = smollm2().command.removeprefix("storm-exp ")
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


def test_every_command_of_the_page_is_run_here() -> None:
    assert sorted(COMMANDS) == sorted([CREATE, *PLANS, RUN, *CHATS])
    assert CHATS and PLANS


@pytest.mark.engines
@pytest.mark.parametrize("command", PLANS)
@needs_wheel
def test_a_plan_of_the_page_plans(command: str, place: Workplace) -> None:
    assert "to make" in place.run(*shlex.split(command))


FEW = (
    "dataset.rows=24",
    "dataset.validation_rows=8",
    "curator.train_rows=12",
    "curator.validation=2",
    "partner.rows=24",
    "partner.steps=2",
    "finetuner.steps=2",
    "finetuner.validation_rows=2",
    "evaluator.limit=1",
    "held_out.limit=2",
)


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.timeout(3600)
@needs_wheel
def test_the_whole_of_storm_runs_on_a_real_model(place: Workplace) -> None:
    place.run_interpreter(*shlex.split(RUN), *FEW)
    assert all(stage["status"] == "made" for stage in place.stages())
    latest = place.folder / "outputs/latest"
    figures = json.loads((latest / "held_out/base_model/evaluation.json").read_text("utf-8"))
    assert figures["tasks"]["held_out_loss"]["score"] > 0
    for model in ("compressor", "hub"):
        config = json.loads((latest / model / "config.json").read_text("utf-8"))
        assert config["vocab_size"] == 49_152
    kept = next(stage for stage in place.stages() if stage["stage"] == "curator")
    assert kept["metrics"]["rows_kept"] == 14, "as many as the ranking is asked for"
    files = sorted(file.name for file in (latest / "gguf").glob("*.gguf"))
    assert files == ["model-Q4_0.gguf", "model-Q8_0.gguf"]
    for command in CHATS:
        if llama_cpp().problem() and "chat gguf" in command:
            continue
        answer = place.run_interpreter(*shlex.split(command), "--max-tokens", "12")
        assert "Paris" in answer, command
