"""A recipe on two devices, from the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from end_to_end.workplace import Workplace
from waiting import until

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


ASKED = {
    # Likelihoods in one task, answers in the other.
    "evaluator": (
        *("evaluator=tinyworld/skills", "evaluator.tasks=[tinyworld_lookup,tinyworld_loss]"),
        *("evaluator.limit=16", "evaluator.batch_size=4", "graph.evaluator.model=[base_model]"),
    ),
    "held": (
        *("+evaluator@held=held_out", "held.limit=20", "held.batch_size=4"),
        "+graph.held={model: base_model, data: dataset}",
    ),
    "calls": (
        *("+evaluator@calls=tinyworld/function_calls", "calls.limit=8", "calls.batch_size=2"),
        *("calls.max_new_tokens=16", "+graph.calls.model=base_model"),
    ),
    "answers": (
        *("+generator@answers=answers", "answers.shard_rows=16", "answers.unfinished=true"),
        *("answers.max_new_tokens=8", "answers.temperature=0.8"),
        "+graph.answers={model: base_model, data: dataset}",
    ),
}
"""What asks a model, on its own beside the stages of `smoke`."""


def remove(place: Workplace, *stages: str) -> None:
    """Remove the artifacts of stages of the latest run from the store."""
    for stage in place.stages():
        if stage["stage"] in stages:
            key = stage["key"]
            shutil.rmtree(place.folder / f"outputs/store/artifacts/{key[:2]}/{key}")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ASKED)
def test_two_devices_answer_and_evaluate_to_the_bits_of_one(warm: Workplace, stage: str):
    words = ("recipe=smoke", f"targets=[{stage}]", *ASKED[stage])
    warm.run(*words)
    one = warm.digests()
    assert set(warm.made()) == {stage}
    remove(warm, stage)
    output = warm.run(*words, "runtime.devices=2")
    assert set(warm.made()) == {stage}
    assert warm.digests() == one
    assert "Traceback" not in output


@pytest.mark.slow
def test_what_a_killed_worker_finished_is_kept(warm: Workplace):
    words = ("recipe=smoke", "targets=[answers]", *ASKED["answers"])
    words += ("answers.shard_rows=2", "answers.max_new_tokens=48")
    warm.run(*words)
    one = warm.digests()
    remove(warm, "answers")
    process = warm.start(*words, "runtime.devices=2")
    shards = warm.folder / "outputs/store/scratch"
    until(lambda: list(shards.glob("*/*.json")))
    os.kill(worker(warm.folder, rank=1), signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert "answers" in output and "a worker ended without an error message" in output
    finished = {file: file.stat().st_mtime_ns for file in shards.glob("*/*.json")}
    assert 0 < len(finished) < 50
    again = warm.start(*words, "runtime.devices=2")
    until(lambda: len(list(shards.glob("*/*.json"))) > len(finished))
    assert all(f.stat().st_mtime_ns == since for f, since in finished.items() if f.exists())
    again.communicate()
    assert again.returncode == 0
    assert warm.digests() == one


def worker(folder: Path, rank: int) -> int:
    """Return the process of a worker that was started in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = (process / "environ").read_bytes().split(b"\0")
            here = (process / "cwd").readlink() == folder
        except OSError:  # it ended, or is another user's
            continue
        if here and b"storm_exp._run.worker" in words and f"RANK={rank}".encode() in variables:
            return int(process.name)
    raise AssertionError("no such worker")
