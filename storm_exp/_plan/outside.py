"""What stages read from outside the store: looked at again before what they made is published.

A file may be overwritten while a stage reads it, or between the plan and the stage. What was made
of it must not lie under a key that covers the former contents.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from storm_exp._contract.digest import FileDigests, NotedDigests
from storm_exp._contract.errors import InputError
from storm_exp._plan.plan import PlannedArtifact
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store

Marks = dict[str, list[int]]
"""{path: [bytes, modification time in ns, inode]}"""


class ChangedError(InputError):
    """A file outside the store is not what the plan saw."""

    def __init__(self, file: str | Path, what: str) -> None:
        """`what` has happened to `file`."""
        super().__init__(f"{file} {what}; nothing was kept of this stage, run it again")


def look(node: PlannedArtifact, store: Store) -> Marks:
    """Return the marks of every file outside that a stage reads, its inputs' adopted ones included.

    Contents are only read where size, time or inode differ from when they last were. Raises
    ChangedError for a file that is not what the keys cover.
    """
    keys = [needed.key for nodes in node.inputs.values() for needed in nodes]
    return _look_at_own(node, store.digests) | look_at_adopted(keys, store)


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
            marks[str(file)] = mark = _mark(file)
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


def _look_at_own(node: PlannedArtifact, digests: FileDigests) -> Marks:
    compute = getattr(node.settings, "fingerprint", None)
    if compute is None:
        return {}
    noted = NotedDigests(digests)
    try:
        now = compute(noted)
    except FileNotFoundError as error:
        raise ChangedError(error.filename, "is gone") from error
    if now != node.fingerprint:
        for file in sorted(node.reads.keys() | noted.found.keys()):
            if node.reads.get(file) != noted.found.get(file):
                raise ChangedError(file, "changed since the plan was made")
        raise InputError("what it reads from outside changed since the plan was made; run it again")
    return {file: _mark(file) for file in noted.found}


def _mark(file: str | Path) -> list[int]:
    try:
        status = Path(file).stat()
    except FileNotFoundError as error:
        raise ChangedError(file, "is gone") from error
    return [status.st_size, status.st_mtime_ns, status.st_ino]
