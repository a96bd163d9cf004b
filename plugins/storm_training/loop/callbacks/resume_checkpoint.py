"""Checkpoints from which a killed training run resumes."""

from __future__ import annotations

import time
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import StageContext
from storm_training.loop.callbacks.stopping import Stopping
from storm_training.loop.module import TrainingModule

_NAMES = "training-*.ckpt"


_PAUSE = 10
"""Shortest time between checkpoints, as a multiple of the time that writing one takes."""


class ResumeCheckpoint(Callback):
    """Saves trained weights, optimiser, position in the data and log, regularly and on a signal.

    Must be the last callback, so that a validation of the same step is in the saved log.
    """

    def __init__(self, module: TrainingModule, stage: StageContext, stopping: Stopping) -> None:
        """Save `module` in the scratch folder of `stage`, as often as its settings say."""
        self._module, self._folder, self._stopping = module, stage.scratch, stopping
        self._save_seconds = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save when due; after a signal, save and raise KeyboardInterrupt."""
        done, settings = len(self._module.record.steps), self._module.settings
        if done == self._module.last:
            return
        self._stopping.ready = True
        waited, seconds = time.monotonic() - self._last, settings.checkpoint_seconds
        due = seconds is not None and waited >= max(seconds, _PAUSE * self._save_seconds)
        # Clocks and signals differ between workers, but all must save the same step.
        any_due, stopped = self._module.devices.all_reduce_sum(due, bool(self._stopping.wanted))
        every = settings.checkpoint_every
        if any_due or stopped or (every and done % every == 0):
            self._save(trainer, done)
        if stopped:
            self._stopping.leave()

    def _save(self, trainer: Trainer, done: int) -> None:
        """Write a checkpoint under a temporary name, and rename it when it is complete."""
        started = time.monotonic()
        partial = self._folder / "training.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self._folder / _NAMES.replace("*", f"{done:08d}"))
            for old in sorted(self._folder.glob(_NAMES))[: -self._module.settings.checkpoints_kept]:
                old.unlink()
        self._last = time.monotonic()
        self._save_seconds = self._last - started


def resume_file(stage: StageContext, module: TrainingModule) -> Path | None:
    """Return the newest checkpoint from which training can resume, or None.

    Checkpoints that are damaged or of a different run (other parameters or number of steps) are
    deleted, with a message.
    """
    for file in sorted(stage.scratch.glob(_NAMES), reverse=True):
        if _usable(file, stage, module):
            return file
    return None


def _usable(file: Path, stage: StageContext, module: TrainingModule) -> bool:
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        done = len(checkpoint["log"]["steps"])
        shapes = {name: values.shape for name, values in checkpoint["state_dict"].items()}
        fits = checkpoint["total"] == module.total
        fits &= shapes == {name: values.shape for name, values in module.state_dict().items()}
        problem = "" if fits else "belongs to another run"
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
        problem = f"is damaged ({error})"
    if problem:
        stage.say(
            f"the checkpoint {file.name} {problem}: deleted, training does not resume from it"
        )
        file.unlink()
        return False
    stage.say(f"going on after step {done}, where an interrupted run was saved")
    return True
