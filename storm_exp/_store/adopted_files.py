"""Files outside the store that artifacts depend on, checked before and after a stage runs.

A file may be overwritten while a stage reads it, or between the plan and the stage. The result
must not be published under a key that covers the previous contents.
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
    """A file outside the store changed after the plan was made."""

    def __init__(self, file: str | Path, what: str) -> None:
        """`what` tells what happened to `file`."""
        super().__init__(f"{file} {what}; nothing was kept of this stage, run it again")


def marks_of_adopted(keys: Iterable[str], store: Store) -> Marks:
    """Return the marks of the adopted files of artifacts and of those that they reference.

    Raises ChangedError for a file whose contents are not those that were published.
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
    """Raise ChangedError for the first file whose mark differs."""
    for file in sorted(before.keys() | after.keys()):
        if before.get(file) != after.get(file):
            raise ChangedError(file, "was written while the stage ran")


def mark_of(file: str | Path) -> list[int]:
    """Return size, modification time and inode of a file; raises ChangedError if it is gone."""
    try:
        status = Path(file).stat()
    except FileNotFoundError as error:
        raise ChangedError(file, "is gone") from error
    return [status.st_size, status.st_mtime_ns, status.st_ino]
