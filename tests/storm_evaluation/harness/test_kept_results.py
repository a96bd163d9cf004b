"""A result of each model and task is kept: only what is new is asked."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storm_evaluation.tasks.settings import ByTask
from storm_exp import value_digest
from storm_models.checkpoint.checkpoint import Checkpoint


def test_a_task_that_is_added_is_the_only_one_asked(evaluating, model, other_checkpoint, folder):
    evaluating(model, "choose")
    assert evaluating.asked == 4 * 2, "two choices of each document"
    both = evaluating(model, "write", "choose")
    assert evaluating.asked == 4, "what is written"
    again = evaluating(model, "choose", "write")
    assert evaluating.asked == 0
    assert json.loads(again["evaluation.json"])["tasks"].keys() == {"choose", "write"}
    assert (
        json.loads(both["evaluation.json"])["mean"] == json.loads(again["evaluation.json"])["mean"]
    )
    evaluating(Checkpoint(other_checkpoint.directory, value_digest("other")), "write")
    assert evaluating.asked == 4, "another model"


def test_what_is_kept_is_what_an_evaluation_of_all_tasks_gives(
    evaluating, model, checkpoint, monkeypatch
):
    whole = evaluating(checkpoint, "choose", "write")
    assert evaluating.asked == 12
    for task in ("write", "choose"):
        evaluating(model, task)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Checkpoint, "load", refuse)
    assert evaluating(model, "choose", "write") == whole


def test_an_interrupted_evaluation_asks_what_is_unanswered(evaluating, model, checkpoint):
    whole = evaluating(checkpoint, "choose", "write", batch_size=1)
    evaluating.dies_at = 4
    with pytest.raises(KeyboardInterrupt):
        evaluating(model, "choose", "write", batch_size=1, stage="killed")
    evaluating.dies_at = 4 + 1
    with pytest.raises(KeyboardInterrupt):
        evaluating(model, "choose", "write", batch_size=1, stage="killed")
    assert evaluating.asked == 4 + 1, "the other four choices, and one that is written"
    evaluating.dies_at = math.inf
    assert evaluating(model, "choose", "write", batch_size=1, stage="killed") == whole
    assert evaluating.asked == 3


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_to_the_same_bytes(evaluating, model, checkpoint, folder):
    settings = {"limit": None, "max_new_tokens": 80, "batch_size": 1}
    whole = evaluating(checkpoint, "write", **settings)
    code = (
        "import sys; from pathlib import Path; from storm_exp.testing import make_stage\n"
        "from storm_evaluation.harness.lm_eval import LmEval\n"
        "from storm_models.checkpoint.checkpoint import Checkpoint\n"
        "settings = dict(limit=None, max_new_tokens=80, batch_size=1, task_folder=sys.argv[3])\n"
        "stage = make_stage(Path(sys.argv[1]), 'killed')\n"
        "LmEval(tasks=['write'], **settings).run(stage, Checkpoint(Path(sys.argv[2])))"
    )
    words = [str(each) for each in (evaluating.folder, model.directory, folder)]
    with subprocess.Popen([sys.executable, "-c", code, *words]) as process:
        answered: list[Path] = []
        while len(answered) < 3 and process.poll() is None:
            time.sleep(0.005)
            answered = list((evaluating.folder / "killed-scratch").glob("*.json"))
        process.kill()
    assert process.returncode == -signal.SIGKILL, "it was not killed in the middle"
    assert evaluating(model, "write", stage="killed", **settings) == whole
    assert 0 < evaluating.asked <= 20 - 3


def test_a_setting_of_one_task_asks_that_task_again(evaluating, model):
    evaluating(model, "choose", "write")
    evaluating(model, "choose", "write", by_task=ByTask(max_new_tokens={"write": 3}))
    assert evaluating.asked == 4
    evaluating(model, "choose", "write", by_task=ByTask(metric={"choose": "acc_norm"}))
    assert evaluating.asked == 8
    evaluating(model, "choose", "write", seed=1)
    assert evaluating.asked == 12


def test_files_of_other_tasks_do_not_matter_and_shared_ones_do(evaluating, model, folder):
    evaluating(model, "choose", "write")
    shutil.copy(folder / "numbers.jsonl", folder / "others.jsonl")
    (folder / "other.yaml").write_text(
        "include: choose.yaml\ntask: other\ndataset_kwargs: {data_files: {test: others.jsonl}}\n"
    )
    evaluating(model, "choose", "write", "other")
    assert evaluating.asked == 8, "the new task"
    with (folder / "others.jsonl").open("a") as file:
        file.write('{"question": "?", "answer": "1", "choices": ["1", "2"]}\n')
    evaluating(model, "choose", "write", "other")
    assert evaluating.asked == 8, "the task whose data changed"
    with (folder / "scoring.py").open("a") as file:
        file.write("\n# other code\n")
    evaluating(model, "choose", "write", "other")
    assert evaluating.asked == 4 * 2 + 4, "of every task, which may use code; two ask the same"
