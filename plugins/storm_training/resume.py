"""Checkpoints from which a killed training run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from storm_exp import Stage
from storm_training.training_module import TrainingModule

_NAME = "training.ckpt"


class Saver(Callback):
    """Saves trained weights, optimiser, place in the data and log every so many steps.

    Must be the last callback, so that a validation of the same step is in the saved log.
    """

    def __init__(self, stage: Stage, every: int) -> None:
        """Save into the scratch folder of `stage` after every `every` steps."""
        self._file, self._every = stage.scratch / _NAME, every

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save when due; a reader never sees half a file."""
        done = len(module.record.steps)
        if done % self._every or done == module.total:
            return
        partial = self._file.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        partial.replace(self._file)


def resume_file(stage: Stage) -> Path | None:
    """Return the checkpoint to go on from, None to start over; sets a damaged one aside."""
    file = stage.scratch / _NAME
    if not file.is_file():
        return None
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        done = len(checkpoint["log"]["steps"])
    except (OSError, RuntimeError, ValueError, KeyError, EOFError) as error:
        stage.say(f"the checkpoint of the interrupted run is damaged, starting over ({error})")
        file.unlink()
        return None
    stage.say(f"going on after step {done}, where an interrupted run was saved")
    return file
