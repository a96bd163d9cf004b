"""A test of saving and reading back after the first step, so that errors show at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import InputError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.pretrained import read_config
from storm_training.loop.module import TrainingModule

Writer = Callable[[Path], Checkpoint]
"""Function that writes the model into a folder, as it will be written at the end."""


class ExportCheck(Callback):
    """Writes the checkpoint after step 1, reads it back with transformers, and deletes it."""

    def __init__(self, module: TrainingModule, stage: StageContext, write: Writer) -> None:
        """Test `write` in the scratch folder of `stage`."""
        self._module, self._stage, self._write = module, stage, write

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Write and read back after step 1; raises InputError when that fails."""
        if len(self._module.record.steps) != 1 or not trainer.is_global_zero:
            return
        folder = self._stage.scratch / "first-step"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            require_readable(self._write(folder))
        finally:
            shutil.rmtree(folder)


def require_readable(checkpoint: Checkpoint) -> None:
    """Raise InputError unless transformers finds every tensor by name, with the right shape.

    The model is built without weights, so this takes no memory. Also loads the tokenizer.
    """
    from transformers import AutoModelForCausalLM

    config = read_config(checkpoint.directory)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
    stored = {name: shape for name, (_, shape) in checkpoint.headers().items()}
    wrong = sorted(name for name, shape in expected.items() if stored.get(name) != shape)
    if wrong:
        raise InputError(
            f"saved after step 1, the model cannot be read back: {wrong[0]} is "
            f"{stored.get(wrong[0], 'missing')}, transformers expects {expected[wrong[0]]}"
        )
    checkpoint.tokenizer()
