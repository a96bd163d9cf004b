"""storm-exp: recipes that make small language models better, declared, kept and measured."""

import sys

from storm_exp.interpreter import complaint

_complaint = complaint()
if _complaint:
    if sys.argv[:1] == ["-m"]:  # `python -m storm_exp`, which looks for the package just now
        sys.exit(f"error: {_complaint}")
    raise ModuleNotFoundError(_complaint)

from storm_exp.artifact import Artifact, Forecast
from storm_exp.component import Component, Port, component, describe, setting
from storm_exp.digest import FileDigests
from storm_exp.errors import (
    ComposeError,
    GraphError,
    InputError,
    PlanError,
    PluginError,
    SettingError,
    StageError,
    StoreError,
    StormError,
    did_you_mean,
)
from storm_exp.hookspecs import hookimpl
from storm_exp.rehearsal import Rehearsed
from storm_exp.stage import Runtime, Stage

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Component",
    "ComposeError",
    "FileDigests",
    "Forecast",
    "GraphError",
    "InputError",
    "PlanError",
    "PluginError",
    "Port",
    "Rehearsed",
    "Runtime",
    "SettingError",
    "Stage",
    "StageError",
    "StoreError",
    "StormError",
    "component",
    "describe",
    "did_you_mean",
    "hookimpl",
    "setting",
]
