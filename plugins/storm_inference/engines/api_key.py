"""The key that running servers demand: read from an environment variable, and never recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from storm_exp import InputError, SettingError

if TYPE_CHECKING:
    from storm_exp import Plan, PlannedArtifact

SETTING = "api_key_variable"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_variable(name: str, setting: str) -> None:
    """Raise SettingError, naming `setting`, for what is no name of a variable, a key for example.

    The error does not show the value.
    """
    if name and not _NAME.fullmatch(name):
        problem = "should be the name of an environment variable that has the key, not the key"
        raise SettingError(setting, "…", problem)


def read_key(variable: str) -> str:
    """Return the key in a variable, '' without a variable.

    Raises InputError for one that is not set, or that no header of a request can hold.
    """
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise InputError(f"the environment variable {variable} is not set, or empty")
    if not (key.isascii() and all("!" <= letter <= "~" for letter in key)):
        raise InputError(f"the environment variable {variable} has other letters than a key's")
    return key


def check_keys(plan: Plan) -> None:
    """Raise PlanError for a key that a stage needs, and whose variable has none."""
    from storm_inference.engines.plan_error import serving_error

    for node, variable, problem in _missing(plan):
        raise serving_error(plan, node, SETTING, variable, problem)


def keys_elsewhere(plan: Plan) -> list[str]:
    """Return a line per variable that has no key here: only plans for another machine go on."""
    stages_of: dict[str, dict[str, None]] = {}
    for node, variable, _ in _missing(plan):
        stages_of.setdefault(variable, {})[node.stage] = None
    return [
        f"the environment variable {variable} has no key on this machine; the machine that runs "
        f"this needs it (inference.{SETTING}; {', '.join(stages)})"
        for variable, stages in stages_of.items()
    ]


def _missing(plan: Plan) -> Iterator[tuple[PlannedArtifact, str, str]]:
    """Yield stages that ask running servers, their variables, and why these have no key."""
    for node in plan.to_make():
        if getattr(node.settings, "engine", "") != "server":
            continue
        variable = node.settings.serving.given().api_key_variable
        try:
            read_key(variable)
        except InputError as error:
            yield node, variable, str(error)
