"""The loss on held-out rows during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from storm_training.data.packing import build_batch, pack
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.module import TrainingModule


class Validator(Callback):
    """Scores the held-out sequences before the first step, after the last, and in between."""

    def __init__(self, module: TrainingModule, sequences: TokenSequences | None) -> None:
        """Score `module` on `sequences`; never, if that is None or has nothing to predict."""
        self._module = module
        self._sequences = sequences if sequences is not None and sequences.learnable() else None
        self._passes: list[list[list[int]]] = []
        if self._sequences is not None:
            lengths = self._sequences.lengths()
            rows = pack(lengths, np.arange(len(lengths)), module.settings.sequence_length)
            size = module.settings.batch_size
            passes = [rows[start : start + size] for start in range(0, len(rows), size)]
            self._passes = module.devices.shard(passes)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Score the initial model, unless training is resumed."""
        if not self._module.record.steps:
            self._module.record.validation += self.scored(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Score after the last step and every `validation_every` steps."""
        done = len(self._module.record.steps)
        every = self._module.settings.validation_every
        if done == self._module.total or (every and done % every == 0):
            self._module.record.validation += self.scored(trainer)

    def scored(self, trainer: Trainer) -> list[dict[str, Any]]:
        """Return an entry for the log: step and loss. None where there is nothing to score."""
        if self._sequences is None:
            return []
        module = self._module
        module.model.eval()
        total, count = 0.0, 0.0
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            for rows in self._passes:
                if not rows:
                    module(None)
                    continue
                batch = build_batch(self._sequences, rows).to(module.device)
                total += float(module(batch))
                count += module.objective.count(batch)
        total, count = module.devices.all_reduce_sum(total, count)
        module.model.train()
        return [{"step": len(module.record.steps), "loss": total / count}]
