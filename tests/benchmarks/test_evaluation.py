"""The benchmark of evaluation: what both sides are asked, and what it says of their times."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from storm_models.testing import make_checkpoint

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("STORM_EXP_BENCH", str(tmp_path))
    yield importlib.import_module("evaluation")
    for file in BENCHMARKS.glob("*.py"):
        sys.modules.pop(file.stem, None)


def test_figures_are_told_with_the_bar(module):
    start, choose, write = "one question of each task", "questions of four", "questions written"
    found = {start: [[9.0, 5.0]] * 3, choose: [[30, 12], [40, 20], [32, 11]], write: [[20, 22]] * 3}
    said = module.describe(found, 8)
    assert "| questions of four | 32.0 s | 12.0 s | 0.38 | at most 1.10 |" in said
    assert "| one question of each task | 9.0 s | 5.0 s | 0.56 |  |" in said
    assert "Met: the highest ratio of whole commands is 1.10" in said
    found[write] = [[20, 23]] * 3
    assert "Missed: the highest ratio of whole commands is 1.15" in module.describe(found, 8)


def test_rounds_that_were_measured_are_not_measured_again(module, tmp_path, monkeypatch):
    jobs = {"one": module.Job(tmp_path, tmp_path), "two": module.Job(tmp_path, tmp_path)}
    taken = []
    monkeypatch.setattr(module, "theirs", lambda job: taken.append(job) or (2.0, {"a": [1.0]}))
    monkeypatch.setattr(module, "ours", lambda job: (1.0, {"a": [1.0]}))
    found = module.measure(jobs, 2, tmp_path / "rounds.json")
    assert found == {"one": [[2.0, 1.0]] * 2, "two": [[2.0, 1.0]] * 2} and len(taken) == 4
    module.measure(jobs, 3, tmp_path / "rounds.json")
    assert len(taken) == 6
    monkeypatch.setattr(module, "ours", lambda job: (1.0, {"a": [0.0]}))
    with pytest.raises(SystemExit, match="the scores differ"):
        module.measure(jobs, 4, tmp_path / "rounds.json")


@pytest.mark.slow
def test_answers_alone_are_the_same_and_their_times_are_told(module, tmp_path):
    alone = importlib.import_module("evaluation_answers")
    model = make_checkpoint(tmp_path / "model", dtype="float32").directory
    module.make_tasks(tmp_path / "tasks", 2)
    found = alone.measure(model, tmp_path / "tasks", tmp_path, 2, 1)
    assert {task: len(runs) for task, runs in found.items()} == {"choose": 1, "write": 1}
    said = alone.describe({"choose": [[4.0, 1.0]], "write": [[2.0, 1.5]] * 3}, 2)
    assert "| questions written, 32 tokens | 2.0 s | 1.5 s | 0.75 |" in said


@pytest.mark.slow
def test_both_commands_give_every_question_the_same_score(module, tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32").directory
    jobs = module.prepare(tmp_path, model, 4)
    assert len(jobs) == 3
    job = module.Job(model, tmp_path)
    (_, expected), (_, scores) = module.theirs(job), module.ours(job)
    assert scores == expected and {name: len(own) for name, own in scores.items()} == {
        "choose": 4,
        "write": 4,
    }
