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
def storm_requires() -> tuple[tuple[str, ...], str]:  # type: ignore[empty-body]
    """Return the importable packages that the components need, and the extra that installs them.

    The extra is one of the plugin's distribution. A component that needs others, or none, says so
    itself: `@component(…, requires=(…), extra=…)`.
    """


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


@hookspec
def storm_environments() -> list[object]:  # type: ignore[empty-body]
    """Return Python environments that programs of the plugin need: storm_inference.Environment.

    `storm-exp env create NAME` makes them.
    """


@hookspec(firstresult=True)
def storm_compute(runtime: Runtime) -> AbstractContextManager[str] | None:
    """Return what sets up arithmetic for a stage, and yields the device to compute on.

    Components ask for it by `with stage.compute() as device:`.
    """


@hookspec
def storm_check_runtime(runtime: Runtime) -> None:
    """Raise SettingError for a runtime with names that a plugin should know, and does not."""


@hookspec
def storm_check_machine(runtime: Runtime) -> None:
    """Raise SettingError for devices or programs of a runtime that this machine does not have."""


@hookspec(firstresult=True)
def storm_launcher(runtime: Runtime, worker: list[str], key: str) -> list[str] | None:
    """Return the command that starts `worker` on every device of every node.

    The command `worker` begins with an interpreter. In the environment of each process stand RANK
    and WORLD_SIZE; `key` is that of the artifact which they make.
    """
