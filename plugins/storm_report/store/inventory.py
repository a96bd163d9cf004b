"""Everything in a store, with the room that it takes: artifacts, memos, and what is left over."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from storm_exp import Manifest, Store, evictable

KINDS = ("scratch", "failures", "damaged", "unfinished")
"""Kinds of what is left over: progress of stages that did not finish; records of errors; artifacts
that could not be used and were moved aside; folders that were not published."""


@dataclasses.dataclass
class Entry:
    """An artifact or a memo."""

    key: str
    manifest: Manifest
    state: str
    """kept, evicted, or damaged."""
    size: int
    """Bytes that it takes in the store."""
    freeable: int
    """Bytes that an eviction frees."""
    used: float
    """Time of its last use."""
    reads: set[str]
    """Keys of the artifacts that it cannot be read without."""
    damage: str = ""

    @property
    def used_text(self) -> str:
        """Time of its last use, to the minute."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.used))

    def parents(self) -> set[str]:
        """Return the keys of all inputs."""
        given = ([k] if isinstance(k, str) else k for k in self.manifest.inputs.values())
        return {key for keys in given for key in keys}


@dataclasses.dataclass
class Leftover:
    """A file or folder in a store that belongs to no artifact."""

    kind: str
    path: Path
    key: str
    """Key of the artifact that was to be made; empty if it is not known."""
    size: int


@dataclasses.dataclass
class Inventory:
    """All that a store holds."""

    entries: dict[str, Entry]
    leftovers: list[Leftover]

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return sum(e.size for e in self.entries.values()) + sum(e.size for e in self.leftovers)

    def with_memos(self, keys: Iterable[str]) -> set[str]:
        """Return keys with those of the memos that their stages used or that follow from them."""
        given = set(keys)
        named = {
            memo for k in given if k in self.entries for memo in self.entries[k].manifest.memos
        }
        memos = {
            key
            for key, entry in self.entries.items()
            if entry.manifest.artifact == "memo" and (key in named or entry.parents() <= given)
        }
        return given | memos

    def with_reads(self, keys: Iterable[str]) -> set[str]:
        """Return keys with those of everything that they cannot be read without."""
        waiting, found = list(keys), set[str]()
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += self.entries[key].reads if key in self.entries else ()
        return found


def take_inventory(store: Store) -> Inventory:
    """Look at everything in a store."""
    entries, leftovers = {}, []
    keys = store.keys()
    for key in keys:
        place = store.place(key)
        found = store.find(key)
        manifest = found.manifest or found.evicted or Manifest.read(place)
        if manifest is None:
            leftovers.append(Leftover("damaged", place, key, disk_size(place)))
            continue
        state = "kept" if found.manifest else "evicted" if found.evicted else "damaged"
        files = evictable(place, manifest)
        entries[key] = Entry(
            key=key,
            manifest=manifest,
            state=state,
            size=disk_size(place),
            freeable=sum(file.stat().st_size for file in files),
            used=(place / "manifest.json").stat().st_mtime,
            reads={*manifest.references, *_linked(store, place, manifest)} - {key},
            damage=found.damage,
        )
    for kind in KINDS[:3]:
        for path in sorted((store.root / kind).glob("*")):
            leftovers.append(Leftover(kind, path, _key_in(path), disk_size(path)))
    for path in store.strays():
        if path.name.startswith((".partial-", ".evicted-")):
            leftovers.append(Leftover("unfinished", path, _key_in(path), disk_size(path)))
    return Inventory(entries, leftovers)


def disk_size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links count nothing."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size if not path.is_symlink() else 0
        return sum(disk_size(Path(each)) for each in os.scandir(path))
    except FileNotFoundError:  # removed meanwhile
        return 0


def _linked(store: Store, place: Path, manifest: Manifest) -> set[str]:
    """Return the keys of artifacts in the same store whose files an artifact adopted."""
    files = [manifest.payload(place) / name for name in manifest.adopted_mtimes]
    root = (store.root / "artifacts").resolve()
    found = (file.resolve() for file in files)
    return {file.relative_to(root).parts[1] for file in found if file.is_relative_to(root)}


def _key_in(path: Path) -> str:
    match = re.search("[0-9a-f]{64}", path.name)
    return match[0] if match else ""
