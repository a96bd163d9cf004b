"""Loss on rows that are held out, during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer

from storm_training.packing import IGNORED, build_batch, pack
from storm_training.settings import TrainingSettings
from storm_training.token_sequences import TokenSequences
from storm_training.training_module import TrainingModule


class Validator(Callback):
    """Scores the held-out sequences before the first step, after the last, and in between."""

    def __init__(self, sequences: TokenSequences | None, settings: TrainingSettings) -> None:
        """Score nothing when `sequences` is None or has nothing to predict."""
        self._sequences = sequences if sequences is not None and sequences.targets() else None
        self._settings = settings
        self._rows: list[list[list[int]]] = []
        if self._sequences is not None:
            lengths = self._sequences.lengths()
            rows = pack(lengths, np.arange(len(lengths)), settings.sequence_length)
            size = settings.batch_rows
            self._rows = [rows[start : start + size] for start in range(0, len(rows), size)]

    def on_train_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Score the model as it came, unless a resumed run has done so."""
        if not module.record.steps:
            self._score(trainer, module)

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Score after the last step and every `validation_every` steps."""
        done, every = len(module.record.steps), self._settings.validation_every
        if done == module.total or (every and done % every == 0):
            self._score(trainer, module)

    def _score(self, trainer: Trainer, module: TrainingModule) -> None:
        if self._sequences is None:
            return
        module.model.eval()
        total, count = 0.0, 0
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            for rows in self._rows:
                batch = build_batch(self._sequences, rows).to(module.device)
                total += float(module.objective(module.model, batch))
                count += int((batch.labels != IGNORED).sum())
        module.model.train()
        entry = {"step": len(module.record.steps), "loss": total / count}
        module.record.validation.append(entry)
