"""Keys: the sha256 over everything that determines an artifact, and nothing else."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from storm_exp.component import Component
from storm_exp.digest import value_digest
from storm_exp.errors import PluginError

FORMAT = 1
"""Version of what a key covers. Raising it orphans every store."""


def semantic_settings(settings: Any) -> dict[str, Any]:
    """Return the settings that enter the key, as JSON values.

    Fields with `semantic=False` are left out, and so are fields that have their neutral value.
    """
    kept: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not field.metadata.get("semantic", True):
            continue
        if "neutral" in field.metadata and value == field.metadata["neutral"]:
            continue
        kept[field.name] = _plain(value)
    return kept


def all_settings(settings: Any) -> dict[str, Any]:
    """Return every setting as JSON values, for records and tables."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


def artifact_key(
    component: Component,
    settings: dict[str, Any],
    inputs: dict[str, str | list[str]],
    fingerprint: Any,
    rehearsed_in: str = "",
) -> str:
    """Return the key of what a component makes of these settings and input keys.

    `rehearsed_in` tells a rehearsal's artifacts apart, by the environment that they prove.
    Raises PluginError when something in it cannot be written as JSON.
    """
    covered = {
        "format": FORMAT,
        "component": component.name,
        "version": component.version,
        "settings": settings,
        "inputs": inputs,
        "fingerprint": fingerprint,
    }
    if rehearsed_in:
        covered["rehearsed_in"] = rehearsed_in
    try:
        return value_digest(covered)
    except (TypeError, ValueError) as error:
        raise PluginError(f"component '{component.name}': its key is not JSON ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return semantic_settings(value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
