"""Where the course of a training run is shown while it runs: files, or a tracker's server."""

from __future__ import annotations

from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from storm_exp import Stage
from storm_training.settings import TrainingSettings


def build_loggers(settings: TrainingSettings, stage: Stage) -> list[Logger]:
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
            found.append(_mlflow(stage))
        else:
            found.append(
                WandbLogger(project="storm-exp", name=f"{run.name} {stage.name}", save_dir=folder)
            )
            folder.mkdir(parents=True, exist_ok=True)
    return found


def _mlflow(stage: Stage) -> Logger:
    import os

    assert stage.log is not None
    run = stage.log.parent
    database = run.parent.parent / "mlflow.db"
    return MLFlowLogger(
        experiment_name="storm-exp",
        run_name=f"{run.name} {stage.name}",
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}",
    )
