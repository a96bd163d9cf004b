"""A recipe on two devices, from the command line."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from end_to_end.workplace import Workplace

FINETUNER = ("recipe=smoke", "targets=[finetuner]")


def finetuned(place: Workplace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the finetuner's record in the latest run, and what it wrote of its training."""
    (stage,) = (stage for stage in place.stages() if stage["stage"] == "finetuner")
    file = place.folder / "outputs/latest/finetuner/training.json"
    return stage, json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_devices_train_what_one_trains_under_the_same_key(warm: Workplace, strategy: str):
    warm.run(*FINETUNER)
    before, one = finetuned(warm)
    shutil.rmtree((warm.folder / "outputs/latest/finetuner").resolve())
    output = warm.run(*FINETUNER, "runtime.devices=2", f"runtime.strategy={strategy}")
    after, two = finetuned(warm)
    assert (before["status"], after["status"]) == ("kept", "made")
    assert before["key"] == after["key"]
    losses = [[step["loss"] for step in training["steps"]] for training in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert one["validation"][-1]["loss"] == pytest.approx(two["validation"][-1]["loss"], rel=1e-5)
    assert output.count("steps of about") == 1
    assert "Traceback" not in output and "Warning" not in output
    assert warm.run("store", "verify")


@pytest.mark.slow
def test_two_devices_judge_to_the_bits_of_one(warm: Workplace):
    words = ("recipe=smoke", "targets=[judge]", "judge.shard_rows=8")
    warm.run(*words)
    one = warm.digests()
    shutil.rmtree((warm.folder / "outputs/latest/judge").resolve())
    output = warm.run(*words, "runtime.devices=2")
    (stage,) = (stage for stage in warm.stages() if stage["stage"] == "judge")
    assert stage["status"] == "made"
    assert warm.digests() == one
    assert "Traceback" not in output
