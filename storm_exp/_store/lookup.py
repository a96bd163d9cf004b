"""Lookups: whether the artifact of a key is intact, damaged, evicted, or not there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storm_exp._contract.errors import StoreError
from storm_exp._store.eviction import is_evicted
from storm_exp._store.manifest import MANIFEST, Manifest


@dataclasses.dataclass
class Lookup:
    """Result of looking up a key."""

    manifest: Manifest | None = None
    """Manifest of an intact artifact."""
    damage: str = ""
    """Why the artifact cannot be used; empty if it is intact, was evicted or does not exist."""
    evicted: Manifest | None = None
    """Manifest of an artifact whose payload was evicted."""


def inspect(place: Path, key: str) -> Lookup:
    """Look at the directory of a key; every file of an intact artifact has its size."""
    if not place.is_dir():
        return Lookup()
    manifest = Manifest.read(place)
    if manifest is None:
        return Lookup(damage=f"{MANIFEST} is missing or unreadable")
    if manifest.key != key:
        return Lookup(damage=f"{MANIFEST} belongs to {manifest.key[:12]}")
    for name, (size, _) in manifest.files.items():
        file = manifest.payload(place) / name
        try:
            status = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            if is_evicted(place):
                return Lookup(evicted=manifest)
            return Lookup(damage=f"{file} is gone")
        except OSError as error:
            raise StoreError(f"cannot read the store: {error}") from error
        if status.st_size != size:
            return Lookup(damage=f"{file} has {status.st_size} bytes, {size} were published")
        outside = manifest.adopted or name in manifest.adopted_mtimes
        if outside and manifest.adopted_mtimes.get(name) != status.st_mtime_ns:
            return Lookup(damage=f"{file} was modified since it was adopted")
    return Lookup(manifest)
