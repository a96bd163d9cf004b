"""What a component's `rehearsal` puts in its place, and how it differs from the recipe's.

A component may have a method `rehearsal(self, …)` that returns the component to run in its place:
itself with smaller settings, or a substitute that makes the same type of artifact. For each port
that it has a parameter for, it gets the spec planned by the recipe and that of the stand-in.
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
    """Stage of a rehearsal, compared with the recipe's."""

    stage: str
    component: str
    substitute: str = ""
    """Substitute: another component, or what the same one reads instead (`stands_for`)."""
    declared: bool = True
    """Whether the component has a method `rehearsal`."""
    reduced: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """{setting: (value in the recipe, value in the rehearsal)}"""
    left_out: list[str] = dataclasses.field(default_factory=list)
    """What a rehearsal cannot tell about the stage."""

    def line(self) -> str:
        """Return a one-line description."""
        name = f"{self.stage} ({self.component})"
        if not self.declared:
            return f"{name}: as it is; the component declares no rehearsal"
        values = [f"{k} {_shown(a)} → {_shown(b)}" for k, (a, b) in self.reduced.items()]
        by = [f"replaced by {self.substitute}"] if self.substitute else []
        return f"{name}: {', '.join([*by, *values]) or 'as it is'}"


def cast(stage: str, component: Any, inputs: dict[str, Any]) -> tuple[Any, Understudy]:
    """Return the component that runs in place of one, and a description of the difference.

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
    wanted = inspect.signature(declared).parameters
    found = declared(**{port: each for port, each in inputs.items() if port in wanted})
    same = type(found) is type(component)
    part.substitute = str(getattr(found, "stands_for", "" if same else _name(found)))
    if same:
        before, after = _values(component), _values(found)
        part.reduced = {k: (before.get(k), v) for k, v in after.items() if before.get(k) != v}
    return found, part


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
