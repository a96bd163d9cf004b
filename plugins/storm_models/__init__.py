"""Checkpoints: taken from the hub or a folder, read by tensors or loaded, and commands that make them."""

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the components of this plugin."""
    from storm_models.command import Command

    return [Command]
