"""Bounds of settings: declared with a field, checked when its dataclass is instantiated."""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import types
import typing
from typing import Any

from storm_exp._contract.errors import PluginError, SettingError, did_you_mean
from storm_exp._contract.typed_json import type_hints

_KEY = "bounds"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Allowed values of a setting, or of the members of a list: a range or an enumeration."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    one_of: tuple[Any, ...] = ()
    unit: str = ""
    """Unit of a number, in the plural: tokens, seconds."""

    def __str__(self) -> str:
        """Return, for example, `between 0 and 1` or `one of up, down`; empty if unbounded."""
        if self.one_of:
            return f"one of {', '.join(self._names())}"
        if self.at_least is not None and self.at_most is not None:
            return f"between {self.at_least} and {self.at_most}"
        names = ("at_least", "above", "at_most", "below")
        limits = {name.replace("_", " "): getattr(self, name) for name in names}
        return " and ".join(f"{name} {v}" for name, v in limits.items() if v is not None)

    def admit(self, value: Any) -> bool:
        """Return whether a value is allowed; a range contains finite numbers only."""
        if self.one_of:
            return value in self.one_of
        if isinstance(value, bool) or not isinstance(value, int | float):
            return not str(self)
        if not math.isfinite(value):
            return False
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def fault(self) -> str:
        """Return what is wrong with the bounds themselves; empty if some value is allowed."""
        if isinstance(self.one_of, str):
            return f"one_of={self.one_of!r} is a text; a tuple of one value is ({self.one_of!r},)"
        low = max((n for n in (self.at_least, self.above) if n is not None), default=-math.inf)
        high = min((n for n in (self.at_most, self.below) if n is not None), default=math.inf)
        if self.one_of and (low, high) != (-math.inf, math.inf):
            return "one_of and limits exclude each other"
        is_open = low == self.above or high == self.below
        return f"no number is {self}" if low > high or (low == high and is_open) else ""

    def problem(self, value: Any) -> str:
        """Return what is allowed in place of a value that is not."""
        near = did_you_mean(str(value), self._names()) if self.one_of else ""
        unit = f" ({self.unit})" if self.unit else ""
        return f"must be {self}{unit}" + (near if "did you mean" in near else "")

    def _names(self) -> list[str]:
        return [each.name if isinstance(each, enum.Enum) else str(each) for each in self.one_of]


@dataclasses.dataclass(frozen=True)
class BoundField:
    """Field with bounds, or field of a dataclass type that may itself have such fields."""

    name: str
    bounds: Bounds | None
    optional: bool


def read_bounds(cls: type, name: str, hint: Any) -> Bounds | None:
    """Return the bounds of a field: declared, inherited, or the members of its Enum.

    Raises PluginError for bounds that admit no value.
    """
    for owner in cls.__mro__:
        field = owner.__dict__.get("__dataclass_fields__", {}).get(name)
        if field is not None and _KEY in field.metadata:
            bounds: Bounds = field.metadata[_KEY]
            if fault := bounds.fault():
                raise PluginError(f"{owner.__module__}.{owner.__qualname__}.{name}: {fault}")
            return bounds
    members = _enumerated(hint)
    return Bounds(one_of=members) if members else None


def _enumerated(hint: Any) -> tuple[enum.Enum, ...]:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(hint)
    return next(filter(None, map(_enumerated, typing.get_args(hint))), ())


@functools.cache
def _bound_fields(cls: type) -> tuple[BoundField, ...]:
    hints = type_hints(cls)
    return tuple(
        BoundField(field.name, bounds, _admits_null(hints[field.name]))
        for field in dataclasses.fields(cls)
        if (bounds := read_bounds(cls, field.name, hints[field.name]))
        or _holds_settings(hints[field.name])
    )


def _holds_settings(hint: Any) -> bool:
    arms = typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        _bound_fields(typing.cast(type, hint))  # its bounds are checked before it has any value
        return True
    return any(_holds_settings(arm) for arm in arms)


def _admits_null(hint: Any) -> bool:
    return hint is types.NoneType or any(_admits_null(arm) for arm in typing.get_args(hint))


def check_bounds(settings: Any, within: str = "") -> None:
    """Raise SettingError for a value outside its bounds, nested dataclasses included.

    `within` is the prefix of the settings' names in the message.
    """
    cls: type = type(settings)
    for field in _bound_fields(cls):
        _check(f"{within}{field.name}", getattr(settings, field.name), field)


def _check(path: str, value: Any, field: BoundField) -> None:
    if dataclasses.is_dataclass(value):
        check_bounds(value, f"{path}.")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(f"{path}.{name}", member, field)
    elif isinstance(value, list):
        for place, member in enumerate(value):
            _check(f"{path}.{place}", member, field)
    elif field.bounds and not _is_left_open(value, field) and not field.bounds.admit(value):
        null = ", or null" if field.optional else ""
        raise SettingError(path, value, field.bounds.problem(value) + null)


def _is_left_open(value: Any, field: BoundField) -> bool:
    """Return whether a value is an allowed null or an interpolation that is not resolved yet."""
    return (value is None and field.optional) or str(value).startswith(("${", "???"))


def find_unfit_default(cls: type) -> str:
    """Return a message about a default outside its field's bounds; empty if there is none."""
    defaults = {field.name: field for field in dataclasses.fields(cls)}
    for bound in _bound_fields(cls):
        field = defaults[bound.name]
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            continue
        try:
            _check(bound.name, default, bound)
        except SettingError as error:
            return f"{error}; this is the default"
    return ""
