"""Settings as JSON values: all of them, or those that are part of the key."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

_UNSET = object()


def semantic_settings(settings: Any) -> dict[str, Any]:
    """Return the settings that enter the key, as JSON values.

    Fields with `semantic=False` and fields with their neutral value are left out, also in nested
    dataclasses, and a nested dataclass of which nothing is left.
    """
    found = {
        field.name: (plain(value, semantic_settings), dataclasses.is_dataclass(value))
        for field in dataclasses.fields(settings)
        if field.metadata.get("semantic", True)
        and (value := getattr(settings, field.name)) != field.metadata.get("neutral", _UNSET)
    }
    return {name: value for name, (value, nested) in found.items() if value or not nested}


def all_settings(settings: Any) -> dict[str, Any]:
    """Return every setting as JSON values, for records and tables."""
    return {
        field.name: plain(getattr(settings, field.name), all_settings)
        for field in dataclasses.fields(settings)
    }


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings without nesting: those of inner dicts under dotted names."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result


def plain(value: Any, inner: Callable[[Any], dict[str, Any]]) -> Any:
    """Return a value as JSON, with dataclasses in it converted by `inner`."""
    if isinstance(value, enum.Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return inner(value)
    if isinstance(value, dict):
        return {str(name): plain(item, inner) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item, inner) for item in value]
    return value
