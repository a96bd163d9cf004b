"""What training has done is kept: by time, on signals, in scratch, and to the bit."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from forked import Forked
from slow_training import train_slowly
from storm_exp import StoreError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.loop.scratch_checkpoints import ScratchCheckpoints
from storm_training.loop.trainer import train
from storm_training.testing import newest_checkpoint, ragged_sequences, small_settings
from waiting import until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_checkpoint(tmp_path_factory.mktemp("made") / "model")


def start(folder: Path, model: Checkpoint, pause: float, **settings: Any) -> Forked:
    """Start a training of 40 steps in a process of its own, and wait for its second step."""
    (folder / "model").symlink_to(model.directory)
    process = Forked(train_slowly, folder, settings, pause)
    until(lambda: process.returncode is not None or steps(folder) >= 2)
    assert process.returncode is None
    return process


def steps(folder: Path) -> int:
    """Return how many steps a training has taken."""
    file = folder / "steps"
    return int(file.read_text() or 0) if file.is_file() else 0


def require_same_end(folder: Path, model: Checkpoint, least: int) -> None:
    """Go on in `folder` and compare the end with that of a run which nothing disturbed."""
    stage = make_stage(folder)
    done = len(torch.load(newest_checkpoint(stage), weights_only=True)["log"]["steps"])
    assert least <= done < 40
    settings = small_settings(steps=40)
    resumed, undisturbed = model.load("float32"), model.load("float32")
    log = train(resumed, ragged_sequences(), settings, stage)
    assert log == train(undisturbed, ragged_sequences(), settings, make_stage(folder, "whole"))
    for one, other in zip(resumed.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_step_that_was_being_taken(
    number: signal.Signals, model: Checkpoint, tmp_path: Path
) -> None:
    process = start(tmp_path, model, 0.1)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 128 + number
    assert "stopping after this step, which is kept" in output
    require_same_end(tmp_path, model, 2)


def test_a_second_signal_is_obeyed_at_once(model: Checkpoint, tmp_path: Path) -> None:
    process = start(tmp_path, model, 3600.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 128 + signal.SIGINT


def test_a_kill_loses_no_more_than_the_time_between_checkpoints(
    model: Checkpoint, tmp_path: Path
) -> None:
    process = start(tmp_path, model, 0.2, checkpoint_every=None, checkpoint_seconds=0.3)
    until(lambda: steps(tmp_path) >= 8)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    require_same_end(tmp_path, model, 3)


def test_checkpoints_touch_no_folder_for_temporary_files(
    model: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "gone"
    monkeypatch.setenv("TMPDIR", str(nowhere))
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere))
    stage = make_stage(tmp_path)
    settings = small_settings(checkpoint_every=2, validation_every=2, keep="best")
    train(
        model.load("float32"), ragged_sequences(), settings, stage, validation=ragged_sequences(5)
    )
    assert newest_checkpoint(stage).is_file()
    assert (stage.scratch / "best.ckpt").is_file()
    assert not list(stage.scratch.glob("*.partial"))


def test_a_full_disk_is_named_with_path_and_size(tmp_path: Path) -> None:
    file = tmp_path / "training.partial"
    file.symlink_to("/dev/full")
    checkpoint = {"state_dict": {"x": torch.zeros(1 << 20)}}
    with pytest.raises(StoreError, match=rf"{file}: a training checkpoint of 0\.00419 GB"):
        ScratchCheckpoints().save_checkpoint(checkpoint, file)
    assert not file.is_symlink()
