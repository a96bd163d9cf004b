"""Loggers of a training run: files, or the server of an experiment tracker."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator

from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from storm_exp import StageContext
from storm_training.optim.settings import TrainingSettings


@contextlib.contextmanager
def tracked(settings: TrainingSettings, stage: StageContext) -> Iterator[list[Logger]]:
    """Yield loggers that have logged all settings; finishes the run in W&B afterwards.

    W&B would otherwise continue the open run in the next training of the same process.
    """
    loggers = build_loggers(settings, stage)
    # Through JSON, because hparams.yaml would contain Enums as Python objects.
    hyperparameters = json.dumps(dataclasses.asdict(settings), default=lambda choice: choice.name)
    for logger in loggers:
        logger.log_hyperparams(json.loads(hyperparameters))
    failed = True
    try:
        yield loggers
        failed = False
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=int(failed))


def build_loggers(settings: TrainingSettings, stage: StageContext) -> list[Logger]:
    """Return Lightning's loggers by the names in `settings.loggers`.

    Files are written into the run's folder, under the stage's name; MLflow writes into mlflow.db
    (sqlite) beside the folder of all runs, unless MLFLOW_TRACKING_URI is set. Empty for a stage
    without a run, as in tests, and on all workers but the first.
    """
    if stage.log is None or stage.rank > 0:
        return []
    run = stage.log.parent
    folder = run / "training" / stage.name
    loggers: list[Logger] = []
    for name in settings.loggers:
        if name == "csv":
            loggers.append(CSVLogger(folder, name="", version=""))
        elif name == "tensorboard":
            loggers.append(TensorBoardLogger(folder, name="", version="", default_hp_metric=False))
        elif name == "mlflow":
            loggers.append(_mlflow(settings, stage))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            name, project = _name(settings, stage), settings.tracking_project
            loggers.append(WandbLogger(name=name, project=project, save_dir=folder))
    return loggers


def _name(settings: TrainingSettings, stage: StageContext) -> str:
    assert stage.log is not None
    return settings.tracking_name or f"{stage.log.parent.name} {stage.name}"


def _mlflow(settings: TrainingSettings, stage: StageContext) -> Logger:
    import os

    assert stage.log is not None
    run = stage.log.parent
    database = run.parent.parent / "mlflow.db"
    return MLFlowLogger(
        experiment_name=settings.tracking_project,
        run_name=_name(settings, stage),
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}",
    )
