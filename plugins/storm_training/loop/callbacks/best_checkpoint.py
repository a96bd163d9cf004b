"""Keeping the weights with the lowest validation loss, and early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import StageContext
from storm_training.loop.module import TrainingModule

_NAME = "best.ckpt"


class BestCheckpoint(Callback):
    """Saves the weights of the best validation, and stops training when patience runs out.

    Must come after the validator. Its only state is the log of validations, so a resumed run keeps
    and stops like an undisturbed one.
    """

    def __init__(self, module: TrainingModule, stage: StageContext) -> None:
        """Save weights of `module` in the scratch folder of `stage`."""
        self._module, self._stage = module, stage

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the initial weights, which may turn out to be the best."""
        record = self._module.record
        if record.validation and not record.steps and self._module.settings.keep == "best":
            self._save(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Save after the best validation so far; stop after `patience` worse ones."""
        record, settings = self._module.record, self._module.settings
        scores = record.validation
        if not scores or scores[-1]["step"] != len(record.steps):
            return
        best = best_validation(scores)
        if best is scores[-1] and settings.keep == "best":
            self._save(trainer)
        worse = len(scores) - 1 - scores.index(best)
        if settings.patience and worse >= settings.patience:
            self._stage.say(
                f"stopped after step {len(record.steps)}: the loss on held-out rows was lowest "
                f"at step {best['step']}"
            )
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        partial = self._stage.scratch / f"{_NAME}.partial"
        trainer.save_checkpoint(partial, weights_only=True)
        if trainer.is_global_zero:
            partial.replace(self._stage.scratch / _NAME)


def best_validation(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the entry with the lowest loss, the first of equals."""
    return min(scores, key=lambda entry: float(entry["loss"]))


def restore_best(module: TrainingModule, scratch: Path) -> int:
    """Restore the weights of the best validation, in place, and return its step."""
    saved = torch.load(scratch / _NAME, map_location="cpu", weights_only=True, mmap=True)
    with torch.no_grad():
        for name, parameter in module.trained.items():
            parameter.copy_(saved["state_dict"][f"model.{name}"])
    return int(best_validation(module.record.validation)["step"])
