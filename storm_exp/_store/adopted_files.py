"""Files outside the store that artifacts follow from: looked at before and after one is made.

A file may be overwritten while a stage reads it, or between the plan and the stage. What was made
of it must not lie under a key that covers the former contents.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from storm_exp._contract.errors import InputError
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store

Marks = dict[str, list[int]]
"""{path: [bytes, modification time in ns, inode]}"""


class ChangedError(InputError):
    """A file outside the store is not what the plan saw."""

    def __init__(self, file: str | Path, what: str) -> None:
        """`what` has happened to `file`."""
        super().__init__(f"{file} {what}; nothing was kept of this stage, run it again")


def look_at_adopted(keys: Iterable[str], store: Store) -> Marks:
    """Return the marks of the files outside that artifacts consist of, or those they refer to.

    Raises ChangedError for a file that is not what was published.
    """
    marks: Marks = {}
    waiting, seen = list(keys), set()
    while waiting:
        key = waiting.pop()
        manifest = None if key in seen else Manifest.read(store.place(key))
        seen.add(key)
        if manifest is None:
            continue
        waiting += manifest.references
        for name in manifest.adopted_mtimes.keys() & manifest.files.keys():
            size, digest = manifest.files[name]
            file = (manifest.payload(store.place(key)) / name).resolve()
            marks[str(file)] = mark = mark_of(file)
            if mark[:2] == [size, manifest.adopted_mtimes[name]]:
                continue
            if store.digests.digest(file) != digest:
                raise ChangedError(file, f"changed since {manifest.component} took it")
    return marks


def compare(before: Marks, after: Marks) -> None:
    """Raise ChangedError for the first file whose marks differ."""
    for file in sorted(before.keys() | after.keys()):
        if before.get(file) != after.get(file):
            raise ChangedError(file, "was written while the stage ran")


def mark_of(file: str | Path) -> list[int]:
    """Return size, time and inode of a file; raises ChangedError when it is gone."""
    try:
        status = Path(file).stat()
    except FileNotFoundError as error:
        raise ChangedError(file, "is gone") from error
    return [status.st_size, status.st_mtime_ns, status.st_ino]
