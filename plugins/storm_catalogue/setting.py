"""Settings of a component, or of a section, as its class declares them."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_exp import Bounds, field_docstrings, read_bounds


@dataclasses.dataclass(frozen=True)
class Place:
    """Line of a file, from which a value comes."""

    file: Path
    line: int = 0

    def __str__(self) -> str:
        """Return `file:line`, relative to the working directory where it is below it."""
        here = Path.cwd()
        shown = self.file.relative_to(here) if self.file.is_relative_to(here) else self.file
        return f"{shown}:{self.line}" if self.line else str(shown)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Setting with everything that its declaration says."""

    path: str
    """Dotted path below the component: `trainable.fraction`."""
    hint: Any
    """Type."""
    kind: str
    """Type as it is written in the class."""
    default: Any
    bounds: Bounds | None
    semantic: bool
    """Whether it is part of the key."""
    doc: str
    place: Place | None
    """Line of its declaration."""

    @property
    def choices(self) -> list[Any]:
        """Allowed values, if they are enumerated: names of an Enum, or plain values."""
        members = self.bounds.one_of if self.bounds else ()
        return [plain(member) for member in members]

    @property
    def nullable(self) -> bool:
        """Whether null is allowed."""
        return types.NoneType in typing.get_args(self.hint)


def plain(value: Any) -> Any:
    """Return a value as it is in YAML and JSON: the name of an Enum's member."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def settings_of(cls: type) -> list[Setting]:
    """Return the settings that a class declares, before inherited ones; nested ones in place."""
    return list(_settings(cls, ""))


def _settings(cls: Any, prefix: str) -> Iterator[Setting]:
    documented, hints = field_docstrings(cls), typing.get_type_hints(cls)
    own = inspect.get_annotations(cls)
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in own):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, f"{prefix}{field.name}.")
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        yield Setting(
            path=f"{prefix}{field.name}",
            hint=hint,
            kind=kind,
            default=default,
            bounds=read_bounds(cls, field.name, hint),
            semantic=field.metadata.get("semantic", True),
            doc=documented.get(field.name, ""),
            place=place_of(cls, field.name),
        )


def place_of(cls: type, field: str = "") -> Place | None:
    """Return where a class or a field of it is declared, None if there is no source."""
    for owner in cls.__mro__[:-1]:
        file, lines = _lines(owner)
        if file and (field in lines or not field):
            return Place(file, lines[field])
    return None


@functools.cache
def _lines(cls: type) -> tuple[Path | None, dict[str, int]]:
    """Return the file of a class, and the lines of its fields; of the class itself under ''."""
    try:
        source, first = inspect.getsourcelines(cls)
        file = Path(inspect.getfile(cls))
    except (OSError, TypeError):
        return None, {}
    body = ast.parse(textwrap.dedent("".join(source))).body[0]
    lines = {"": first}
    for each in getattr(body, "body", []):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            lines[each.target.id] = first + each.lineno - 1
    return file, lines
