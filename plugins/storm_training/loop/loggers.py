"""Loggers of a training run: files in the run's folder."""

from __future__ import annotations

import dataclasses
import json

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from storm_exp import StageContext
from storm_training.optim.settings import TrainingSettings

_STEPS_BETWEEN_WRITES = 10
"""How far `metrics.csv` may lag behind: trackers read it while training goes on."""


def build_loggers(settings: TrainingSettings, stage: StageContext) -> list[Logger]:
    """Return Lightning's loggers by the names in `settings.loggers`, which have the settings.

    Files are written into the run's folder, under the stage's name. Empty for a stage without a
    run, as in tests, and on all workers but the first.
    """
    if stage.log is None or stage.rank > 0:
        return []
    folder = stage.log.parent / "training" / stage.name
    loggers: list[Logger] = []
    for name in settings.loggers:
        if name == "csv":
            loggers.append(
                CSVLogger(folder, "", "", flush_logs_every_n_steps=_STEPS_BETWEEN_WRITES)
            )
        else:
            loggers.append(TensorBoardLogger(folder, name="", version="", default_hp_metric=False))
    # Through JSON, because hparams.yaml would contain Enums as Python objects.
    hyperparameters = json.dumps(dataclasses.asdict(settings), default=lambda choice: choice.name)
    for logger in loggers:
        logger.log_hyperparams(json.loads(hyperparameters))
    return loggers
