"""A tracker that is missing, dead, slow or broken costs a run nothing but a line in its record."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest

from storm_exp import install_command
from storm_exp.report import RunRecord
from storm_exp.testing import CommandResult

BROKEN = "raise ConnectionError('no route to host')"
HANGING = "import time; time.sleep(600)"
KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def tensorboard(plugin: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what has followers import another package as `tensorboard`."""

    def replace(source: str) -> None:
        (plugin / "tensorboard.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(plugin), prepend=":")

    return replace


def problem(result: CommandResult, folder: Path) -> str:
    """Return the one problem of a run that is complete nevertheless."""
    assert result.code == 0
    assert {stage.status for stage in result.record.stages()} == {"made"}
    record = RunRecord.read((folder / "outputs/latest").resolve())
    assert record.status == "finished"
    (line,) = record.problems
    assert result.err.count(f"warning: {line}") == 1
    return line


def test_a_tracker_that_breaks_is_told_once_and_recorded(storm, tensorboard, tmp_path):
    tensorboard(BROKEN)
    line = problem(storm("recipe=sum", "tracker=tensorboard"), tmp_path)
    assert line.startswith(
        "tracker=tensorboard failed: ConnectionError: no route to host; the run itself is not "
        "affected (details in outputs/runs/"
    )
    assert line.endswith("tensorboard` tries again)")
    log = (tmp_path / "outputs/latest/tracker/log.txt").read_text()
    assert "Traceback" in log and "no route to host" in log


def test_a_tracker_that_hangs_is_given_up_after_its_patience(storm, tensorboard, tmp_path):
    tensorboard(HANGING)
    begun = time.monotonic()
    result = storm("recipe=sum", "tracker=tensorboard", "tracker.patience_seconds=0.5")
    assert time.monotonic() - begun < 60
    line = problem(result, tmp_path)
    assert "did not finish in 0.5 s (tracker.patience_seconds)" in line


def test_a_tracker_that_is_killed_is_told(storm, tensorboard, tmp_path):
    tensorboard(KILLED)
    assert "failed: it ended early" in problem(storm("recipe=sum", "tracker=tensorboard"), tmp_path)


def test_a_tracker_that_is_not_installed_is_refused_with_its_extra(storm, monkeypatch, tmp_path):
    with contextlib.chdir(tmp_path):
        command = install_command("mlflow")
    monkeypatch.setattr("storm_trackers.section.find_spec", lambda name: None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for verb in ((), ("plan",)):
        refused = storm(*verb, "recipe=sum", "tracker=mlflow")
        assert refused.code == 1 and refused.record is None
        assert refused.error == (
            "tracker.kind='mlflow': needs mlflow, sqlalchemy, alembic; "
            f"{command} (from the override `tracker=mlflow`)"
        )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    assert "needs mlflow; pip" in storm("recipe=sum", "tracker=mlflow").error
    assert "wandb='" not in storm("recipe=sum").error


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("tracker.kind=wand", "must be one of none, mlflow, wandb, trackio, tensorboard"),
        ("tracker.project=''", "tracker.project='': must not be empty"),
        ("tracker.patience_seconds=0", "must be above 0 (seconds)"),
        ("tracker.patience=3", "'tracker.patience' is not a setting"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(storm, override, told):
    refused = storm("recipe=sum", override)
    assert refused.code == 1 and told in refused.error and refused.record is None


def test_nothing_is_started_or_changed_without_a_tracker(storm, tmp_path):
    first = storm("recipe=sum")
    assert not (tmp_path / "outputs/latest/tracker").exists()
    assert first.record.problems == []
    again = storm("plan", "recipe=sum", "tracker=tensorboard")
    assert "nothing to make, all artifacts are kept: 4" in again.out


def test_a_run_that_fails_is_shown_as_such(storm, tmp_path):
    failed = storm("recipe=sum", "adder@other=fussy", "other.limit=0", "tracker=tensorboard")
    assert failed.code == 1 and failed.record.status == "failed"
    assert failed.record.problems == []
    state = json.loads((tmp_path / "outputs/latest/tracker/tracker.json").read_text())
    assert state["complete"]
