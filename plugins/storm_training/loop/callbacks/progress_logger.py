"""A training run's progress bar."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import StageContext
from storm_training.loop.module import TrainingModule


class ProgressLogger(Callback):
    """Shows steps, loss and time left through the stage's bar, and tells the loggers.

    Must come after the validator.
    """

    def __init__(self, module: TrainingModule, stage: StageContext) -> None:
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
        entry = self._record.steps[-1]
        self._progress.advance(1, loss=entry["loss"])
        figures = {name: value for name, value in entry.items() if name != "step"}
        scores = self._record.validation
        if scores and scores[-1]["step"] == entry["step"]:
            figures["validation_loss"] = scores[-1]["loss"]
        for logger in trainer.loggers:
            logger.log_metrics(figures, entry["step"])

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Take the bar off the screen."""
        self._progress.__exit__(None, None, None)
