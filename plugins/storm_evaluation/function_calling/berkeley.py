"""The Berkeley Function-Calling Leaderboard, whose questions and answers come in a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_inference.environments.environment import Environment

NAME = "bfcl"


def berkeley() -> Environment:
    """Return the environment that holds `bfcl-eval`, of which data and checker are used."""
    return Environment(
        name=NAME,
        purpose="questions of the Berkeley Function-Calling Leaderboard: evaluator=bfcl",
        requirements=Path(__file__).parent / "bfcl_requirements.txt",
        imports=("bfcl_eval",),
    )


def berkeley_folder() -> Path:
    """Return the folder of its questions; raises InputError where there is none."""
    environment = berkeley()
    found = sorted(environment.folder.glob("lib/python*/site-packages/bfcl_eval/data"))
    if not found:
        raise InputError(f"the environment '{NAME}' holds no questions: {environment.command}")
    return found[0]


_OPENAPI = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "any": "string",
}


def shown(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function as models are shown it: with the types of OpenAPI, as the leaderboard does.

    Its files have Python's.
    """
    found: dict[str, Any] = _renamed(function)
    return found


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _renamed(each) for name, each in value.items()}
    kind = value.get("type")
    if isinstance(kind, str):
        found["type"] = _OPENAPI.get(kind, kind)
    return found
