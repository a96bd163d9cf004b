"""Files that have every step of a training, and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger

from storm_exp import SettingError, StageContext
from storm_exp.testing import make_stage
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
    with pytest.raises(SettingError, match=r"loggers='tensorboard'.*pip install tensorboard"):
        TrainingSettings(loggers=["tensorboard"], seed=0)


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_a_tracker_is_chosen_for_the_whole_run(name):
    with pytest.raises(SettingError, match=f"loggers='{name}': .*the whole run: tracker={name}"):
        TrainingSettings(loggers=["csv", name], seed=0)


def test_the_csv_file_keeps_up_with_training(tmp_path, checkpoint, monkeypatch):
    seen = []

    def look(logger, metrics, step):
        log(logger, metrics, step)
        file = tmp_path / "run/training/tuned/metrics.csv"
        seen.append(len(file.read_text().splitlines()) if file.exists() else 0)

    log = CSVLogger.log_metrics
    monkeypatch.setattr(CSVLogger, "log_metrics", look)
    chosen = small_settings(steps=21)
    train(checkpoint.load("float32"), ragged_sequences(), chosen, staged(tmp_path, "tuned"))
    assert seen[9] > 8 and seen[20] > 18
