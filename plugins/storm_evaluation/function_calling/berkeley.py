"""The Berkeley Function-Calling Leaderboard: its questions and answers, from a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_inference.environments.environment import Environment

NAME = "bfcl"


def berkeley() -> Environment:
    """Return the environment with `bfcl-eval`, whose data and checker are used."""
    return Environment(
        name=NAME,
        purpose="questions of the Berkeley Function-Calling Leaderboard: evaluator=bfcl",
        requirements=Path(__file__).parent / "bfcl_requirements.txt",
        imports=("bfcl_eval",),
    )


def berkeley_folder() -> Path:
    """Return the folder of its questions; raises InputError if it is missing."""
    environment = berkeley()
    folders = sorted(environment.folder.glob("lib/python*/site-packages/bfcl_eval/data"))
    if not folders:
        raise InputError(f"the environment '{NAME}' has no questions: {environment.command}")
    return folders[0]


_OPENAPI = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "any": "string",
}


def shown(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function with OpenAPI's names of types, as the leaderboard shows it to models.

    Its files use Python's names.
    """
    renamed: dict[str, Any] = _renamed(function)
    return renamed


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    renamed = {name: _renamed(each) for name, each in value.items()}
    kind = value.get("type")
    if isinstance(kind, str):
        renamed["type"] = _OPENAPI.get(kind, kind)
    return renamed
