"""Hooks by which a plugin extends the engine; built-in plugins use the same ones.

Those about plans are in `storm_exp/_plan/plan_hooks.py`, those about runs in
`storm_exp/_run/run_hooks.py`.
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
    """Return the packages that the components import, and the extra that installs them.

    The extra belongs to the plugin's distribution. A component that needs other packages, or
    none, declares them itself: `@component(…, requires=(…), extra=…)`.
    """


@hookspec
def storm_sections() -> dict[str, type]:  # type: ignore[empty-body]
    """Return root sections of the configuration: names, and a dataclass of settings for each.

    A component's settings take their defaults from a section by interpolation: `II("chat.date")`.
    """


@hookspec
def storm_config_folder() -> str:  # type: ignore[empty-body]
    """Return the absolute path of a folder of presets, with a subfolder per menu."""


@hookspec
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:  # type: ignore[empty-body]
    """Return command-line verbs: functions of the remaining arguments that return the exit code.

    The first line of a verb's docstring is its line of help.
    """


@hookspec
def storm_environments() -> list[object]:  # type: ignore[empty-body]
    """Return Python environments that programs of the plugin need: storm_inference.Environment.

    `storm-exp env create NAME` makes them.
    """


@hookspec(firstresult=True)
def storm_compute(runtime: Runtime) -> AbstractContextManager[str] | None:
    """Return a context manager that configures arithmetic and yields the name of the device.

    Components use it as `with stage.compute() as device:`.
    """


@hookspec
def storm_check_runtime(runtime: Runtime) -> None:
    """Raise SettingError for a name in the runtime that is unknown to the plugin in charge."""


@hookspec(firstresult=True)
def storm_launcher(runtime: Runtime, worker: list[str], key: str) -> list[str] | None:
    """Return a command that starts the command `worker` on every device of every node.

    `worker` begins with an interpreter. The launcher sets RANK and WORLD_SIZE in the environment
    of each process; `key` is that of the artifact to make.
    """


@hookspec
def storm_views() -> list[object]:  # type: ignore[empty-body]
    """Return views of artifacts and files for `storm-exp look`: storm_report.look.view.View."""
