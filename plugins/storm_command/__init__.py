"""A user's own program as a checkpoint or as a data set: kept stages like any other."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the components that run a program."""
    from storm_command.checkpoint_command import CheckpointCommand
    from storm_command.dataset_command import DatasetCommand

    return [CheckpointCommand, DatasetCommand]
