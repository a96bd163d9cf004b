"""The settings of a component, one by one, and odd values for each."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

from storm_exp._contract.docstrings import field_docstrings

ODD: dict[type, list[Any]] = {
    types.NoneType: [None],
    bool: [False, True],
    int: [-1, 0, 1_000_000],
    float: [-1.0, 0.0, float("nan"), 1e6],
    str: ["", "no such thing"],
    list: [[]],
    dict: [{}],
}


def setting_types(cls: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, type) of every setting, those of a dataclass of settings as `outer.inner`."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from setting_types(hint, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hint


def undocumented(cls: type, prefix: str = "") -> Iterator[str]:
    """Yield the settings without a docstring, those of members of lists and dicts included."""
    documented, hints = field_docstrings(cls), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        held = [each for each in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(each)]
        for kind in held:
            assert isinstance(kind, type)
            yield from undocumented(kind, f"{prefix}{field.name}.")
        if not held and field.name not in documented:
            yield f"{prefix}{field.name}"


def odd_values(hint: Any) -> list[Any]:
    """Return values of a setting's type that few components expect."""
    arms = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return [value for arm in arms for value in odd_values(arm)]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)
    return ODD.get(typing.get_origin(hint) or hint, [])


def with_value(settings: Any, name: str, value: Any) -> Any:
    """Return settings with one of them changed; raises what building them raises."""
    first, _, inner = name.partition(".")
    if inner:
        value = with_value(getattr(settings, first), inner, value)
    return dataclasses.replace(settings, **{first: value})
