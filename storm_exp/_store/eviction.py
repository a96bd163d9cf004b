"""Eviction: the payload of an artifact is deleted, its manifest and small JSON files stay.

What was built from it remains usable, reports can still read its figures, and when it is made
again, it is compared with the digests of its manifest.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from storm_exp._store.manifest import Manifest, fsync

MARK = ".evicted"
"""File in the directory of an artifact that was evicted, or is being evicted."""
_SMALL_BYTES = 1 << 20
"""Size up to which a JSON file stays."""


def is_evicted(place: Path) -> bool:
    """Return whether the artifact in a directory of the store was evicted."""
    return (place / MARK).exists()


def evictable(place: Path, manifest: Manifest) -> list[Path]:
    """Return the files that an eviction deletes: none of those outside the store."""
    if manifest.adopted is not None:
        return []
    return [
        place / name
        for name, (size, _) in manifest.files.items()
        if name not in manifest.adopted_mtimes
        and not (name.endswith(".json") and size <= _SMALL_BYTES)
        and (place / name).exists()
    ]


def evict(place: Path, manifest: Manifest) -> None:
    """Evict an artifact; an eviction that was cut short may be repeated."""
    files = evictable(place, manifest)
    (place / MARK).touch()
    fsync(place)  # before the files go, so that the artifact never counts as damaged
    for file in files:
        file.unlink(missing_ok=True)


def make_way(place: Path) -> None:
    """Rename the directory of an evicted artifact, so that its successor can be published."""
    if is_evicted(place):
        place.rename(place.with_name(f"{MARK}-{place.name}-{secrets.token_hex(4)}"))


def finish_replacement(place: Path) -> None:
    """Delete the directories that `make_way` renamed; bring one back if there is no successor."""
    for former in place.parent.glob(f"{MARK}-{place.name}-*"):
        if place.exists():
            shutil.rmtree(former, ignore_errors=True)
        else:
            former.rename(place)


def changed_files(former: Manifest, manifest: Manifest) -> list[str]:
    """Return the names of the files with other contents than before the eviction."""
    names = sorted(former.files.keys() | manifest.files.keys())
    return [name for name in names if former.files.get(name) != manifest.files.get(name)]
