"""Checkpoints from which a killed training run goes on."""

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


_SPARED = 10
"""A checkpoint that took a second to write is followed by no other for so many seconds."""


class ResumeCheckpoint(Callback):
    """Saves trained weights, optimiser, place in the data and log: every so often, and on a signal.

    Must be the last callback, so that a validation of the same step is in the saved log.
    """

    def __init__(self, module: TrainingModule, stage: StageContext, stopping: Stopping) -> None:
        """Save `module` into the scratch folder of `stage`, as its settings say."""
        self._module, self._folder, self._stopping = module, stage.scratch, stopping
        self._took = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Count time from here on."""
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save when due; raises KeyboardInterrupt, once saved, where a signal asked for the end."""
        done, settings = len(self._module.record.steps), self._module.settings
        if done == self._module.total:
            return
        self._stopping.ready = True
        waited, seconds = time.monotonic() - self._last, settings.checkpoint_seconds
        late = seconds is not None and waited >= max(seconds, _SPARED * self._took)
        # All workers save the same step: time and signals come to each of them at another one.
        late_ones, stopped = self._module.devices.all_reduce_sum(late, bool(self._stopping.wanted))
        every = settings.checkpoint_every
        if late_ones or stopped or (every and done % every == 0):
            self._save(trainer, done)
        if stopped:
            self._stopping.leave()

    def _save(self, trainer: Trainer, done: int) -> None:
        """Write a checkpoint; a reader never sees half a file."""
        started = time.monotonic()
        partial = self._folder / "training.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self._folder / _NAMES.replace("*", f"{done:08d}"))
            for old in sorted(self._folder.glob(_NAMES))[: -self._module.settings.checkpoints_kept]:
                old.unlink()
        self._last = time.monotonic()
        self._took = self._last - started


def resume_file(stage: StageContext, module: TrainingModule) -> Path | None:
    """Return the newest checkpoint that can be gone on from, None to start over.

    One that is damaged, or that another run left (other parameters or another length), is
    removed, and the user told.
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
        stage.say(f"the checkpoint {file.name} {problem}: it is not gone on from")
        file.unlink()
        return False
    stage.say(f"going on after step {done}, where an interrupted run was saved")
    return True
