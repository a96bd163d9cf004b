"""Trackers: every training is a run of its own, with its settings, named by settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from storm_exp import SettingError, StageContext
from storm_exp.testing import make_stage
from storm_training.loop.loggers import build_loggers
from storm_training.loop.trainer import train
from storm_training.optim.settings import TrainingSettings
from storm_training.testing import ragged_sequences, small_settings


def staged(folder: Path, name: str) -> StageContext:
    stage = make_stage(folder, name)
    stage.log = folder / "run" / "log.txt"
    stage.log.parent.mkdir(exist_ok=True)
    return stage


def test_files_hold_the_settings_of_their_run(tmp_path, checkpoint):
    for name, rate in (("one", 1e-2), ("two", 1e-3)):
        chosen = small_settings(steps=2, learning_rate=rate)
        train(checkpoint.load("float32"), ragged_sequences(), chosen, staged(tmp_path, name))
    for name, rate in (("one", 1e-2), ("two", 1e-3)):
        file = tmp_path / "run" / "training" / name / "hparams.yaml"
        hyperparameters = yaml.safe_load(file.read_text())
        assert (
            hyperparameters["learning_rate"],
            hyperparameters["steps"],
            hyperparameters["seed"],
        ) == (rate, 2, 0)


def test_a_logger_whose_package_is_missing_is_refused_with_the_plan(monkeypatch):
    monkeypatch.setattr("storm_training.optim.settings.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"loggers='wandb'.*pip install wandb"):
        TrainingSettings(loggers=["wandb"], seed=0)
    with pytest.raises(SettingError, match="tracking_project"):
        TrainingSettings(loggers=[], tracking_project="", seed=0)


def test_every_training_is_a_run_of_its_own_in_wandb(tmp_path, checkpoint, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="an optional package, in no extra")
    monkeypatch.setenv("WANDB_MODE", "offline")
    ended = []
    finish = wandb.Run.finish

    def noted(run, exit_code=None):
        ended.append((run.id, run.project, run.config["learning_rate"]))
        finish(run, exit_code=exit_code)

    monkeypatch.setattr(wandb.Run, "finish", noted)
    for name, rate in (("one", 1e-2), ("two", 1e-3)):
        chosen = small_settings(
            steps=2, learning_rate=rate, loggers=["wandb"], tracking_project="mine"
        )
        train(checkpoint.load("float32"), ragged_sequences(), chosen, staged(tmp_path, name))
        assert wandb.run is None
        assert len(list((tmp_path / "run" / "training" / name).rglob("*.wandb"))) == 1
    assert ended[0][0] != ended[1][0]
    assert [run[1:] for run in ended] == [("mine", 1e-2), ("mine", 1e-3)]


def test_the_name_and_project_of_a_run_are_settings(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "storm_training.loop.loggers.WandbLogger", lambda **given: asked.append(given)
    )
    stage = staged(tmp_path, "tuned")
    usual = {"loggers": ["csv"], "seed": 0}
    settings = TrainingSettings(**usual)
    settings.loggers = ["wandb"]
    build_loggers(settings, stage)
    settings.tracking_project, settings.tracking_name = "mine", "first"
    build_loggers(settings, stage)
    names = [(given["project"], given["name"]) for given in asked]
    assert names == [("storm-exp", "run tuned"), ("mine", "first")]
