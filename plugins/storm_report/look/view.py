"""Views: how a plugin shows its artifacts to `storm-exp look`, by the hook `storm_views`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from storm_exp import Manifest
from storm_report.look.listing import Listing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What is looked at: an artifact of a store, or a file or folder outside."""

    name: str
    """A stage's label, or the name of the file or folder."""
    place: Path
    """The folder with its files, or the file."""
    manifest: Manifest | None = None
    """None outside a store."""
    store: Path | None = None
    """The root of its store; None outside one."""

    def is_there(self) -> bool:
        """Return whether all files are still there; a store may have given up those of the past."""
        files = self.manifest.files if self.manifest else ()
        return self.place.exists() and all((self.place / name).is_file() for name in files)

    def input(self, port: str) -> Subject | None:
        """Return the artifact at a port, the first of several; None if it is not in the store."""
        keys = (self.manifest.inputs if self.manifest else {}).get(port)
        key = (keys[0] if keys else None) if isinstance(keys, list) else keys
        return self.neighbour(port, key) if key else None

    def neighbour(self, name: str, key: str) -> Subject | None:
        """Return another artifact of the store; None if it is not there."""
        if self.store is None:
            return None
        place = self.store / "artifacts" / key[:2] / key
        manifest = Manifest.read(place)
        if manifest is None:
            return None
        payload = manifest.payload(place)
        found = Subject(name=name, place=payload, manifest=manifest, store=self.store)
        return found if found.is_there() else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """Which examples to show."""

    split: str = "train"
    dropped: bool = False
    """Show what is left out, with the reason."""
    first: int = 0
    """Examples to skip."""
    model: Subject | None = None
    """The model through whose tokenizer and template the examples are shown, if one was named."""


class View(Protocol):
    """Shows one kind of artifact or file."""

    together: bool
    """Whether all of a run are shown in one listing, side by side."""

    def opens(self, place: Path) -> bool:
        """Return whether it can show the file or folder, by the names of files alone."""
        ...

    def show(self, subjects: Sequence[Subject], choice: Choice) -> Listing:
        """Return the listing of a subject, or of all of them; raises InputError."""
        ...
