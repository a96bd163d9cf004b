"""Files that a planned stage reads from outside the store, checked before and after it runs."""

from __future__ import annotations

from storm_exp._contract.digest import FileDigests, NotedDigests
from storm_exp._contract.errors import InputError
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._store.adopted_files import ChangedError, Marks, mark_of, marks_of_adopted
from storm_exp._store.store import Store


def marks_of_files(node: PlannedArtifact, store: Store) -> Marks:
    """Return the marks of the outside files that a stage reads, adopted inputs included.

    Contents are read again only if size, modification time or inode changed. Raises ChangedError
    for a file whose contents are not those that the keys cover.
    """
    keys = [needed.key for nodes in node.inputs.values() for needed in nodes]
    return _look_at_own(node, store.digests) | marks_of_adopted(keys, store)


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
        for file in sorted(node.reads.keys() | noted.asked.keys()):
            if node.reads.get(file) != noted.asked.get(file):
                raise ChangedError(file, "changed since the plan was made")
        raise InputError(
            "what it reads from outside the store changed since the plan was made; run it again"
        )
    return {file: mark_of(file) for file in noted.asked}
