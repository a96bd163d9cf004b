from __future__ import annotations

import copy
import multiprocessing
import os
import signal
from pathlib import Path

import torch

from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.loop.module import TrainingModule
from storm_training.loop.trainer import train
from storm_training.optim.settings import TrainingSettings
from storm_training.testing import newest_checkpoint, ragged_sequences, small_settings
from waiting import PATIENCE


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def die_in_step(stop: int, folder: Path, chosen: TrainingSettings) -> int:
    """Run in a forked process that kills itself at step `stop`; returns the exit code."""

    def run() -> None:
        take = TrainingModule.training_step

        def dying(module: TrainingModule, batches: list, index: int) -> None:
            if len(module.record.steps) == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            take(module, batches, index)

        # The fork has lost torch's threads: they are made anew before many load at once.
        torch.set_num_threads(torch.get_num_threads())
        TrainingModule.training_step = dying
        model = Checkpoint(folder / "model").load("float32")
        validation = ragged_sequences(6)
        train(model, ragged_sequences(), chosen, make_stage(folder), validation=validation)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(PATIENCE)
    return child.exitcode


def test_killed_twice_the_run_ends_in_the_bits_of_an_undisturbed_one(tmp_path: Path):
    model = make_checkpoint(tmp_path / "model").load("float32")
    undisturbed, resumed = copy.deepcopy(model), copy.deepcopy(model)
    chosen = small_settings(steps=12, checkpoint_every=3, validation_every=3)
    sequences, validation = ragged_sequences(), ragged_sequences(6)
    stage = make_stage(tmp_path / "undisturbed")
    expected = train(undisturbed, sequences, chosen, stage, validation=validation)
    assert die_in_step(5, tmp_path, chosen) == -signal.SIGKILL
    assert die_in_step(10, tmp_path, chosen) == -signal.SIGKILL
    stage = make_stage(tmp_path)
    saved = torch.load(newest_checkpoint(stage), weights_only=True)
    assert len(saved["log"]["steps"]) == 9
    log = train(resumed, sequences, chosen, stage, validation=validation)
    assert log == expected
    assert same(weights(undisturbed), weights(resumed))


def test_a_damaged_checkpoint_of_a_killed_run_is_set_aside(tmp_path, checkpoint, capsys):
    stage = make_stage(tmp_path)
    (stage.scratch / "training-00000002.ckpt").write_bytes(b"half a file")
    log = train(checkpoint.load("float32"), ragged_sequences(), small_settings(), stage)
    assert len(log.steps) == 4
    assert "damaged" in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path, checkpoint, capsys):
    stage = make_stage(tmp_path)
    train(checkpoint.load("float32"), ragged_sequences(), small_settings(checkpoint_every=2), stage)
    assert newest_checkpoint(stage).is_file()
    log = train(checkpoint.load("float32"), ragged_sequences(), small_settings(steps=6), stage)
    assert len(log.steps) == 6
    assert "another run" in capsys.readouterr().err


def test_an_older_checkpoint_serves_when_the_newest_is_damaged(tmp_path, checkpoint, capsys):
    chosen = small_settings(steps=7, checkpoint_every=2, checkpoints_kept=2)
    stage, model = make_stage(tmp_path), checkpoint.load("float32")
    expected = train(model, ragged_sequences(), chosen, stage)
    names = sorted(file.name for file in stage.scratch.glob("*.ckpt"))
    assert names == ["training-00000004.ckpt", "training-00000006.ckpt"]
    newest_checkpoint(stage).write_bytes(b"half a file")
    resumed = checkpoint.load("float32")
    assert train(resumed, ragged_sequences(), chosen, stage) == expected
    assert same(weights(model), weights(resumed))
    assert "going on after step 4" in capsys.readouterr().err
