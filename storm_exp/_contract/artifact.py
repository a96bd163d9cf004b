"""Artifacts and their specs: what flows along the edges of a recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self


@dataclasses.dataclass(kw_only=True)
class Spec:
    """Description of an artifact that can be given before it is made.

    A subclass per artifact type adds fields of JSON values. Every field has a default that
    means "unknown", so `Spec()` describes an artifact of which nothing is known in advance.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Build a spec from what `to_json` returned, ignoring unknown fields."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def note_files(self, directory: Path) -> None:
        """Learn where the files of a finished artifact are; a plan calls this before any other use.

        For a type that answers questions about its files while planning, such as a tokenizer's.
        """

    def contradictions(self, made: Self) -> list[str]:
        """Return the contradictions between this spec and that of the artifact, a line per field.

        A field that is unknown in either agrees with any value; else `agrees` decides.
        """
        unknown, planned, actual = (_as_json(each) for each in (type(self)(), self, made))
        return [
            f"{name} was to be {_brief(value, actual[name])} and is {_brief(actual[name], value)}"
            for name, value in planned.items()
            if unknown[name] not in (value, actual[name])
            and not self.agrees(name, value, actual[name])
        ]

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether the value of a field is as planned; both are JSON values, and known.

        Types with fields that are not exact values (upper bounds, estimates) override this method.
        """
        return bool(planned == made)

    def summary(self) -> str:
        """Return a short description for the plan's table, empty when nothing is known."""
        return ""


def _as_json(spec: Spec) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(spec.to_json()))
    return values


def _brief(value: Any, other: Any) -> str:
    """Return the text of a value; of an object the entries that another lacks or has otherwise."""
    if isinstance(value, dict) and isinstance(other, dict):
        value = {k: each for k, each in value.items() if k not in other or other[k] != each}
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


MemoInputs = Mapping[str, "Artifact | Sequence[Artifact]"]
"""{port: artifacts} that the contents of a memo depend on."""
MemoFill = Callable[[Path], dict[str, list[Any]] | None]
"""Fills the folder of a memo, and may return {name: [bytes, sha256]} of files that it digested."""


class Memos(Protocol):
    """The part of a stage that keeps by-products of artifacts."""

    def keeps(self, *artifacts: Artifact) -> bool:
        """Return whether memos of these artifacts are kept: all must be in the stage's store."""

    def memo(self, name: str, version: int, inputs: MemoInputs, fill: MemoFill) -> Path:
        """Return a folder whose contents depend on artifacts alone, filled by the first caller."""


class Artifact:
    """Directory that a stage produced, with a type.

    Subclasses add methods that read it. Opening an artifact reads nothing. Modules that define
    artifact types do not import torch; methods that need it do.
    """

    spec_type: ClassVar[type[Spec]] = Spec
    shown_as: ClassVar[str] = ""
    """Its name in the last lines of a run, which tell where it is; empty: it is not listed."""

    def __init__(self, directory: Path, key: str = "") -> None:
        """Open the artifact in `directory`; `key` is empty outside a store."""
        self.directory = Path(directory)
        self.key = key

    def materialise(self, stage: Memos) -> Artifact:
        """Return an artifact with the same contents, all of them in files of its directory.

        This is the artifact itself, unless its type stores a compact form; the files are then
        kept as a memo of `stage`. A run of one recipe links to the result.
        """
        return self

    def spec(self) -> Spec:
        """Read the spec from the files; it is recorded in the manifest."""
        return self.spec_type()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.directory)!r})"
