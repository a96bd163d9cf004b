"""Exports at the end of a run: what the card says is what the store has."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from scipy.stats import binomtest

from end_to_end.workplace import Workplace
from storm_export.gguf.libllama import FOLDER, find_libllama

PAGE = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m storm_exp (.*)$", PAGE, re.M)
HUB = (
    "+exporter@hub=hub_folder",
    "hub.license=apache-2.0",
    "+graph.hub={model: merger, evaluations: evaluator}",
)


@pytest.mark.slow
def test_a_card_has_the_lineage_and_the_scores_of_the_run(warm: Workplace) -> None:
    warm.run("recipe=smoke", *HUB)
    assert warm.made() == {"hub": 1}
    stages = warm.stages()
    (exported,) = [stage for stage in stages if stage["stage"] == "hub"]
    (merger,) = [stage for stage in stages if stage["stage"] == "merger"]
    folder = Path(exported["directory"])
    lock = json.loads((folder / "recipe.lock.json").read_text())
    of_the_run = {stage["key"]: stage for stage in stages}
    assert lock["model"] == merger["key"] == lock["steps"][-1]["key"]
    assert {step["component"] for step in lock["steps"]} >= {"thresholds", "snr", "slerp"}
    for step in lock["steps"]:
        assert of_the_run[step["key"]]["digest"] == step["digest"]
        assert str(warm.folder) not in json.dumps(step)
    text = (folder / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---\n")[1])
    (scored,) = [
        stage
        for stage in stages
        if stage["stage"] == "evaluator" and stage["inputs"]["model"] == merger["key"]
    ]
    results = metadata["model-index"][0]["results"]
    tasks = json.loads((Path(scored["directory"]) / "evaluation.json").read_text())["tasks"]
    found = {each["dataset"]["type"]: each["metrics"][0]["value"] for each in results}
    assert found == {task: entry["score"] for task, entry in tasks.items()}
    for entry in tasks.values():
        n, score = entry["n"], entry["score"]
        interval = binomtest(round(n * score), n).proportion_ci(method="wilson")
        assert f"{score:.4g} ({interval.low:.3g} to {interval.high:.3g})" in text
    assert "## What was trained" in text and "spectrum" in text and "alpha" not in text
    assert "transformers\\_version" not in text
    written = folder / "model.safetensors"
    assert written.stat().st_nlink > 1  # the merge's weights, written once


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, warm: Workplace) -> None:
    if "importance: matrix" in command and find_libllama() is None:
        pytest.skip(f"{FOLDER} names no folder with libllama")
    warm.run(*shlex.split(command))
    assert warm.made().keys() <= {"hub", "gguf", "ollama", "static", "matrix"}
    assert len(warm.made()) > 0
