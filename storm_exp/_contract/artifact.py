"""Artifacts and their forecasts: what flows along the edges of a recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self


@dataclasses.dataclass(kw_only=True)
class Spec:
    """What an artifact will be, known before it is made.

    A subclass per artifact type adds fields of JSON values. Every field has a default that
    means "unknown", so `Forecast()` is what is known of something nobody can forecast.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Build a forecast from `to_json`, ignoring fields that this version does not know."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def contradictions(self, made: Self) -> list[str]:
        """Return where the spec of what was made contradicts this one, a line for each field.

        What either leaves unknown agrees with anything. A type whose fields are no exact values
        (the most there can be, an estimate) says itself when they agree.
        """
        unknown, planned, found = (_as_json(each) for each in (type(self)(), self, made))
        return [
            f"{name} was to be {_brief(value)} and is {_brief(found[name])}"
            for name, value in planned.items()
            if unknown[name] not in (value, found[name]) and value != found[name]
        ]

    def summary(self) -> str:
        """Return a few words for the plan's table, empty when nothing is known."""
        return ""


def _as_json(spec: Spec) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(spec.to_json()))
    return values


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


class Memos(Protocol):
    """A stage, as far as it keeps by-products of artifacts."""

    def keeps(self, *artifacts: Artifact) -> bool:
        """Return whether memos of these artifacts are kept: a store holds them and the stage."""

    def memo(
        self,
        name: str,
        version: int,
        inputs: Mapping[str, Artifact | Sequence[Artifact]],
        fill: Callable[[Path], None],
    ) -> Path:
        """Return a folder that follows from artifacts alone, filled by the first who asks."""


class Artifact:
    """The directory that a stage produced, seen through a type.

    Subclasses add readers. Opening an artifact reads nothing: modules that define artifact
    types are free of torch, and what needs it is imported inside methods.
    """

    spec_type: ClassVar[type[Spec]] = Spec
    shown_as: ClassVar[str] = ""
    """What the last lines of a run call it, which say where it is; empty where they do not."""

    def __init__(self, directory: Path, key: str = "") -> None:
        """Open the artifact in `directory`; `key` is empty outside a store."""
        self.directory = Path(directory)
        self.key = key

    def materialise(self, stage: Memos) -> Artifact:
        """Return the artifact whose directory holds everything: itself, unless a type keeps less.

        What is more is a memo of the stage that asks. A run of one recipe links to it.
        """
        return self

    def spec(self) -> Spec:
        """Read from the files what a forecast would have said; recorded in the manifest."""
        return self.spec_type()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"
