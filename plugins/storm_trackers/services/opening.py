"""Opening a run in a tracker: by the tracker's name, on this machine unless the user says more."""

from __future__ import annotations

import os
from pathlib import Path

from storm_exp.report import RunRecord
from storm_trackers.section import MLFLOW, TRACKIO, WANDB
from storm_trackers.services.service import Service


def open_service(kind: str, project: str, run: RunRecord) -> Service:
    """Open a run in the tracker `kind`.

    The variables of the environment by which trackers are set up are followed: without them,
    nothing leaves this machine. Trackers' telemetry about their own use is off.
    """
    outputs = run.directory.resolve().parent.parent
    for name, value in _usual(outputs).items():
        os.environ.setdefault(name, value)
    if kind == MLFLOW:
        from storm_trackers.services.mlflow_service import MLflowService

        return MLflowService(run, project, outputs)
    if kind == WANDB:
        from storm_trackers.services.wandb_service import WandbService

        return WandbService(run, project, outputs)
    if kind == TRACKIO:
        from storm_trackers.services.trackio_service import TrackioService

        return TrackioService(run, project)
    from storm_trackers.services.tensorboard_service import TensorBoardService

    return TensorBoardService(run)


def _usual(outputs: Path) -> dict[str, str]:
    """Return what trackers read from the environment, where the user sets nothing else."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "WANDB_ERROR_REPORTING": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "DO_NOT_TRACK": "1",
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(outputs / "trackio"),
        # A server that does not answer is reported, not asked for minutes.
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    }
