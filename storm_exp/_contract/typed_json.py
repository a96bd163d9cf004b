"""Dataclasses read from JSON, with every type checked."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from storm_exp._contract.errors import StoreError

T = TypeVar("T")


def read(cls: type[T], file: Path, **known: Any) -> T:
    """Return the dataclass stored in a JSON file; `known` are fields that are not in the file.

    Raises FileNotFoundError if the file does not exist, and StoreError if it cannot be read or
    contains something else.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
        return typing.cast(T, build(cls, values | known))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(file)) from error
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file} is damaged: {error}") from error


def build(hint: Any, value: Any, where: str = "") -> Any:
    """Return a value, such as JSON, converted to the type `hint`.

    Raises ValueError if it cannot be.
    """
    arms = typing.get_args(hint)
    if hint is Any:
        return value
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [arm for arm in arms if arm is not types.NoneType]
        return None if value is None and len(kinds) < len(arms) else build(kinds[0], value, where)
    if typing.get_origin(hint) is list and isinstance(value, list):
        return [build(arms[0], item, where) for item in value]
    if typing.get_origin(hint) is dict and isinstance(value, dict):
        return {name: build(arms[1], item, f"{where}.{name}") for name, item in value.items()}
    if typing.get_origin(hint) is tuple and isinstance(value, tuple):
        arms = arms[:1] * len(value) if arms[-1] is ... else arms
        return tuple(build(arm, item, where) for arm, item in zip(arms, value, strict=True))
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build_dataclass(hint, value, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[value] if value in hint.__members__ else hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    kind = typing.get_origin(hint) or hint
    fits = isinstance(kind, type) and isinstance(value, kind)
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"'{where.lstrip('.')}' has an impossible value")
    return value


def _build_dataclass(cls: Any, values: dict[str, Any], where: str) -> Any:
    hints = type_hints(cls)
    for name in values.keys() - hints.keys():
        raise ValueError(f"'{where}.{name}' is unknown here".replace("'.", "'"))
    built = {name: build(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return cls(**built)
    except TypeError as error:
        raise ValueError(str(error).partition(" ")[2]) from error


@functools.cache
def type_hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's fields by name, which are looked up once."""
    return typing.get_type_hints(cls)
