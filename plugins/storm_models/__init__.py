"""Checkpoints: found in a folder, on the hub, or made by a program; their headers and tensors."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the components that adopt or make a checkpoint without training code of ours."""
    from storm_models.command import Command
    from storm_models.hub import Hub
    from storm_models.path import Path

    return [Hub, Path, Command]
