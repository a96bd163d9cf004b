"""What a plugin may bring. A stranger's plugin has the same hooks as ours.

What it may hear and show of a run is in `storm_exp/_run/hooks.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pluggy

from storm_exp._contract.runtime import Runtime

hookspec = pluggy.HookspecMarker("storm_exp")
hookimpl = pluggy.HookimplMarker("storm_exp")


@hookspec
def storm_components() -> list[type]:  # type: ignore[empty-body]
    """Return the plugin's component classes."""


@hookspec
def storm_sections() -> dict[str, type]:  # type: ignore[empty-body]
    """Return root sections of a configuration: names, and the dataclass of each one's settings.

    A component's settings take their defaults from a section by interpolation: `II("chat.date")`.
    """


@hookspec
def storm_config_folder() -> str:  # type: ignore[empty-body]
    """Return the absolute path of a folder with presets, a folder per menu."""


@hookspec
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:  # type: ignore[empty-body]
    """Return command-line verbs: functions of the remaining arguments that return the exit code."""


@hookspec(firstresult=True)
def storm_compute(runtime: Runtime) -> AbstractContextManager[str] | None:
    """Return what sets up arithmetic for a stage, and yields the device to compute on.

    Components ask for it by `with stage.compute() as device:`.
    """


@hookspec(firstresult=True)
def storm_device_count(kind: str) -> int | None:
    """Return how many devices of a kind this process sees, None where unknown.

    Kinds are cuda, mps, and auto: what a stage would take that is told nothing, none for a CPU.
    """
