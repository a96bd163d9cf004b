"""JSON schemas (draft 2020-12) of settings, from the types and bounds of dataclasses."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from typing import Any

from storm_catalogue.setting import plain
from storm_exp import Bounds, field_docstrings, read_bounds

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE: Schema = {"$ref": "#/$defs/reference"}
DEFINITIONS: Schema = {
    "reference": {
        "description": "Another setting's value (${seed}), or ??? for a value to be given.",
        "type": "string",
        "pattern": r"^(\$\{|\?\?\?)",
    }
}
_LARGEST = 2**63 - 1
_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -_LARGEST, "maximum": _LARGEST},
    float: {"type": "number"},
    types.NoneType: {"type": "null"},
}
_LIMITS = {
    "at_least": "minimum",
    "at_most": "maximum",
    "above": "exclusiveMinimum",
    "below": "exclusiveMaximum",
}


def settings_schema(cls: Any) -> Schema:
    """Return the schema of a dataclass of settings, all of which may be left out."""
    documented, hints = field_docstrings(cls), typing.get_type_hints(cls)
    properties = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        schema = _value(hint, read_bounds(cls, field.name, hint))
        if field.name in documented:
            schema = schema | {"description": documented[field.name]}
        if not dataclasses.is_dataclass(hint):
            schema = schema | _default(field)
        properties[field.name] = schema
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    doc = inspect.getdoc(cls)
    return {"description": doc} | schema if doc else schema


def _default(field: dataclasses.Field[Any]) -> Schema:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return {} if default is dataclasses.MISSING else {"default": plain(default)}


def _value(hint: Any, bounds: Bounds | None) -> Schema:
    """Return the schema of a value, or of a reference in its place."""
    if dataclasses.is_dataclass(hint):
        return settings_schema(hint)
    arms = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [_kind(arm, bounds) for arm in arms]
    else:
        kinds = [_kind(hint, bounds)]
    if any(kind in ({}, _SCALARS[str]) for kind in kinds):  # which admits references by itself
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {"anyOf": [*kinds, REFERENCE]}


def _kind(hint: Any, bounds: Bounds | None) -> Schema:
    if dataclasses.is_dataclass(hint):
        return settings_schema(hint)
    if hint is types.NoneType:
        return _SCALARS[hint]
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": _value(typing.get_args(hint)[0], bounds)}
    if typing.get_origin(hint) is dict:
        member = _value(typing.get_args(hint)[1], bounds)
        return {"type": "object", "additionalProperties": member}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        allowed = (bounds.one_of if bounds else ()) or tuple(hint)
        return {"enum": [name for name, member in hint.__members__.items() if member in allowed]}
    if bounds and bounds.one_of:
        return {"enum": [plain(member) for member in bounds.one_of]}
    limits = {
        word: limit
        for name, word in _LIMITS.items()
        if (limit := getattr(bounds, name, None)) is not None
    }
    if hint is Any:
        return {"type": "number", **limits} if limits else {}
    return _SCALARS[hint] | limits
