"""A training run's progress bar."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import Stage
from storm_training.training_module import TrainingModule


class Reporter(Callback):
    """Shows steps, loss and time left through the stage's bar."""

    def __init__(self, module: TrainingModule, stage: Stage) -> None:
        """Show how far `module` has come, as progress of `stage`."""
        self._record = module.record
        self._progress = stage.progress(module.total, "steps", "training")

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Count what a killed run had done."""
        if self._record.steps:
            self._progress.advance(len(self._record.steps))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Count a step."""
        self._progress.advance(1, loss=self._record.steps[-1]["loss"])

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Take the bar off the screen."""
        self._progress.__exit__(None, None, None)
