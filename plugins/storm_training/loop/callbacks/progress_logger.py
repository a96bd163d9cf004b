"""The progress bar of a training run, and its metrics for the loggers."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from storm_exp import StageContext
from storm_training.loop.module import TrainingModule


class ProgressLogger(Callback):
    """Shows steps, loss and remaining time, and logs the metrics of every step.

    Must come after the validator.
    """

    def __init__(self, module: TrainingModule, stage: StageContext) -> None:
        """Show the progress of `module` in the bar of `stage`."""
        self._record = module.record
        self._progress = stage.progress(module.last, "steps", "training")

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Advance the bar by the steps of the run that is resumed."""
        if self._record.steps:
            self._progress.advance(len(self._record.steps))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Advance the bar by a step, and log its metrics."""
        entry = self._record.steps[-1]
        self._progress.advance(1, loss=entry["loss"])
        metrics = {name: value for name, value in entry.items() if name != "step"}
        scores = self._record.validation
        if scores and scores[-1]["step"] == entry["step"]:
            metrics["validation_loss"] = scores[-1]["loss"]
        for logger in trainer.loggers:
            logger.log_metrics(metrics, entry["step"])

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Close the bar."""
        self._progress.__exit__(None, None, None)
