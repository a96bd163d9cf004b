"""What a store keeps beside the artifacts of a plan."""

from __future__ import annotations

from storm_exp import Manifest, Plan


def memo_notices(plan: Plan) -> list[str]:
    """Return a line about the memos that the store of a plan keeps of what is in the plan, if any.

    Those that a stage used, and those that follow from its artifacts alone, such as the weights of
    a merge in files.
    """
    manifests = {key: node.manifest for key, node in plan.nodes.items() if node.manifest}
    used = {key for manifest in manifests.values() for key in manifest.memos}
    kept = [
        memo.key
        for memo in plan.store.manifests()
        if memo.artifact == "memo"
        and (memo.key in used or manifests.keys() >= _parents(memo))
        and plan.store.find(memo.key).manifest is not None
    ]
    if not kept:
        return []
    many = "memos" if len(kept) > 1 else "memo"
    return [f"kept beside the artifacts: {len(kept)} {many} of stages (store ls names them)"]


def _parents(manifest: Manifest) -> set[str]:
    """Return the keys of all inputs."""
    given = ([keys] if isinstance(keys, str) else keys for keys in manifest.inputs.values())
    return {key for keys in given for key in keys}
