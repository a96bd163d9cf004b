"""The root section `tracker`: which tracker shows a run, and where. No key covers it."""

from __future__ import annotations

import dataclasses
import os
from importlib.util import find_spec

from storm_exp import SettingError, check_bounds, install_command, setting

NONE, MLFLOW, WANDB, TRACKIO, TENSORBOARD = "none", "mlflow", "wandb", "trackio", "tensorboard"
KINDS = (NONE, MLFLOW, WANDB, TRACKIO, TENSORBOARD)


@dataclasses.dataclass(kw_only=True)
class TrackerSection:
    """The tracker of a run."""

    kind: str = setting(NONE, one_of=KINDS)
    """none, mlflow, wandb, trackio or tensorboard."""
    project: str = "storm-exp"
    """The project in W&B and trackio, the experiment in MLflow; TensorBoard has none."""
    patience_seconds: float = setting(60.0, above=0, unit="seconds")
    """How long a run waits at its end for the tracker, before it goes on without it."""

    def __post_init__(self) -> None:
        """Check the name of the project, and that the tracker is installed; raises SettingError."""
        check_bounds(self)
        if not self.project.strip():
            raise SettingError("project", self.project, "must not be empty")
        missing = missing_packages(self.kind)
        if missing:
            problem = f"needs {', '.join(missing)}; {install_command(self.kind)}"
            raise SettingError("kind", self.kind, problem)


def missing_packages(kind: str) -> list[str]:
    """Return which packages a tracker needs that are not installed."""
    needed = [] if kind == NONE else [kind]
    if kind == MLFLOW and not os.environ.get("MLFLOW_TRACKING_URI"):
        needed += ["sqlalchemy", "alembic"]  # for its own files, not for a server's
    return [name for name in needed if not find_spec(name)]
