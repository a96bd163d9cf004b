"""A training run's progress bar."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from storm_exp import Stage
from storm_training.training_module import TrainingModule


class Reporter(Callback):
    """Shows steps, loss and time left through the stage's bar."""

    def __init__(self, stage: Stage, total: int) -> None:
        """`total` is the number of optimiser steps."""
        self._progress = stage.progress(total, "steps", "training")

    def on_train_start(self, trainer: Trainer, module: TrainingModule) -> None:
        """Count what a killed run had done."""
        if module.record.steps:
            self._progress.advance(len(module.record.steps))

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Count a step."""
        self._progress.advance(1, loss=module.record.steps[-1]["loss"])

    def teardown(self, trainer: Trainer, module: TrainingModule, stage: str) -> None:
        """Take the bar off the screen."""
        self._progress.__exit__(None, None, None)
