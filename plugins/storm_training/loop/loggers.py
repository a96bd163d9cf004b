"""Where the course of a training run is shown while it runs: files, or a tracker's server."""

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
    """Yield loggers that know all settings, and end what they began: each training is a run.

    W&B gives whoever asks the run that is still open in the process.
    """
    loggers = build_loggers(settings, stage)
    # As JSON has them: an Enum inside a section would be a Python object in hparams.yaml.
    written = json.dumps(dataclasses.asdict(settings), default=lambda choice: choice.name)
    for logger in loggers:
        logger.log_hyperparams(json.loads(written))
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

    Files go into the run's folder, under the stage's name; MLflow's go into mlflow.db (sqlite)
    beside the folder of all runs, unless MLFLOW_TRACKING_URI says otherwise. None where a stage
    has no run, as in tests.
    """
    if stage.log is None or stage.rank > 0:
        return []
    run = stage.log.parent
    folder = run / "training" / stage.name
    found: list[Logger] = []
    for name in settings.loggers:
        if name == "csv":
            found.append(CSVLogger(folder, name="", version=""))
        elif name == "tensorboard":
            found.append(TensorBoardLogger(folder, name="", version="", default_hp_metric=False))
        elif name == "mlflow":
            found.append(_mlflow(settings, stage))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            name, project = _name(settings, stage), settings.tracking_project
            found.append(WandbLogger(name=name, project=project, save_dir=folder))
    return found


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
