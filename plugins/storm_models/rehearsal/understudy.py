"""The component that runs in a rehearsal instead of the recipe's, and how the two differ.

A component may have a method `rehearsal(self, …)` that returns the component to run instead:
itself with smaller settings, or a substitute that makes the same type of artifact. A parameter
named like a port gets the specs of that input in the recipe and in the rehearsal.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from typing import Any

from storm_exp import describe

_SHOWN = 60


@dataclasses.dataclass
class Understudy:
    """A stage of a rehearsal, compared with the recipe's."""

    stage: str
    component: str
    substitute: str = ""
    """Name of another component, or description of what the same one reads (`stands_for`)."""
    declared: bool = True
    """Whether the component has a method `rehearsal`."""
    reduced: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """{setting: (value in the recipe, value in the rehearsal)}"""
    left_out: list[str] = dataclasses.field(default_factory=list)
    """Properties of the stage that a rehearsal does not test."""

    def line(self) -> str:
        """Return a one-line description."""
        name = f"{self.stage} ({self.component})"
        if not self.declared:
            return f"{name}: unchanged; the component declares no rehearsal"
        values = [f"{k} {_shown(a)} → {_shown(b)}" for k, (a, b) in self.reduced.items()]
        by = [f"replaced by {self.substitute}"] if self.substitute else []
        return f"{name}: {', '.join([*by, *values]) or 'unchanged'}"


def cast(stage: str, component: Any, inputs: dict[str, Any]) -> tuple[Any, Understudy]:
    """Return the component that runs instead of `component`, and a description of the difference.

    `inputs` holds a `Rehearsed` for each port, or a list of them. Raises what the component's
    `rehearsal` raises.
    """
    part = Understudy(stage, describe(type(component)).name)
    describes = getattr(component, "not_rehearsed", None)
    part.left_out = list(describes()) if describes is not None else []
    declared = getattr(component, "rehearsal", None)
    if declared is None:
        part.declared = False
        return component, part
    parameters = inspect.signature(declared).parameters
    replacement = declared(**{port: each for port, each in inputs.items() if port in parameters})
    same = type(replacement) is type(component)
    part.substitute = str(getattr(replacement, "stands_for", "" if same else _name(replacement)))
    if same:
        before, after = _values(component), _values(replacement)
        part.reduced = {k: (before.get(k), v) for k, v in after.items() if before.get(k) != v}
    return replacement, part


def _name(component: Any) -> str:
    return describe(type(component)).name


def _values(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted name, with those of nested dataclasses and dicts."""
    if dataclasses.is_dataclass(settings):
        names = [field.name for field in dataclasses.fields(settings)]
        settings = {name: getattr(settings, name) for name in names}
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) or dataclasses.is_dataclass(value):
            values |= _values(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value.name if isinstance(value, enum.Enum) else value
    return values


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
