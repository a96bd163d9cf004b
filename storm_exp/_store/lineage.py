"""The lineage of an artifact: what it was made of, as manifests say it."""

from __future__ import annotations

from storm_exp._contract.artifact import Artifact
from storm_exp._store.manifest import Manifest


def lineage(artifact: Artifact) -> list[Manifest]:
    """Return the manifests of an artifact and of all that it was made of, inputs first.

    Those that are no longer in the store are left out; outside a store there are none.
    """
    root, found = artifact.directory.parent.parent, dict[str, Manifest]()

    def visit(key: str) -> None:
        manifest = Manifest.read(root / key[:2] / key)
        if manifest is None or key in found:
            return
        for given in manifest.inputs.values():
            for each in [given] if isinstance(given, str) else given:
                visit(each)
        found[key] = manifest

    if artifact.key:
        visit(artifact.key)
    return list(found.values())
