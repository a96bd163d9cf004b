"""The lineage of an artifact: its manifest and those of everything that it was made from."""

from __future__ import annotations

from storm_exp._contract.artifact import Artifact
from storm_exp._store.manifest import Manifest


def lineage(artifact: Artifact) -> list[Manifest]:
    """Return the manifests of an artifact and of everything that it was made from, inputs first.

    Those that are no longer in the store are left out; an artifact outside a store has none.
    """
    root, manifests = artifact.directory.parent.parent, dict[str, Manifest]()

    def visit(key: str) -> None:
        manifest = Manifest.read(root / key[:2] / key)
        if manifest is not None and key not in manifests:
            for keys in manifest.inputs.values():
                for input_key in [keys] if isinstance(keys, str) else keys:
                    visit(input_key)
            manifests[key] = manifest

    if artifact.key:
        visit(artifact.key)
    return list(manifests.values())
