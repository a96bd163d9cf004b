"""Checkpoints from which a killed training run goes on."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import Stage
from storm_training.training_module import TrainingModule

_NAMES = "training-*.ckpt"


class Saver(Callback):
    """Saves trained weights, optimiser, place in the data and log every so many steps.

    Must be the last callback, so that a validation of the same step is in the saved log.
    """

    def __init__(self, module: TrainingModule, stage: Stage) -> None:
        """Save `module` into the scratch folder of `stage`, every `checkpoint_every` steps."""
        self._module, self._folder = module, stage.scratch

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save when due; a reader never sees half a file."""
        done = len(self._module.record.steps)
        if done % self._module.settings.checkpoint_every or done == self._module.total:
            return
        partial = self._folder / "training.partial"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            partial.replace(self._folder / _NAMES.replace("*", f"{done:08d}"))
            for old in sorted(self._folder.glob(_NAMES))[: -self._module.settings.checkpoints_kept]:
                old.unlink()


def resume_file(stage: Stage, module: TrainingModule) -> Path | None:
    """Return the newest checkpoint that can be gone on from, None to start over.

    One that is damaged, or that another run left (other parameters or another length), is
    removed, and the user told.
    """
    for file in sorted(stage.scratch.glob(_NAMES), reverse=True):
        if _usable(file, stage, module):
            return file
    return None


def _usable(file: Path, stage: Stage, module: TrainingModule) -> bool:
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
