"""Why a stage is to be made: how it differs from the most similar artifact in the store."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

from storm_exp._contract.digest import value_digest
from storm_exp._contract.setting_values import flat, semantic_settings
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._store.manifest import Manifest


def explain_difference(node: PlannedArtifact, manifests: list[Manifest]) -> list[str]:
    """Return the differences between a node and the most similar manifest of its component."""
    if node.damage:
        return [f"damaged: {node.damage}"]
    siblings = [m for m in manifests if m.component == node.component.name and m.key != node.key]
    if not siblings:
        return ["the store has no artifact of this component"]
    return min((differences(node, manifest) for manifest in siblings), key=len)


def differences(node: PlannedArtifact, manifest: Manifest) -> list[str]:
    """Return a line for each difference in what the key covers."""
    lines = []
    if manifest.version != node.component.version:
        lines.append(f"version: {manifest.version} → {node.component.version}")
    now = flat(semantic_settings(node.settings))
    then = flat(manifest.settings)
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            lines.append(f"{name}: {_show(then.get(name))} → {_show(now.get(name))}")
    keys = node.input_keys()
    for port in sorted(keys.keys() | manifest.inputs.keys()):
        if keys.get(port) != manifest.inputs.get(port):
            lines.append(f"input {port} differs")
    if node.fingerprint != manifest.fingerprint:
        lines.append("what it reads from outside the store differs")
    return lines or ["nothing differs"]


@functools.cache
def source_digest(cls: type) -> str:
    """Return a digest of the source file of a component, which is not part of the key."""
    try:
        return value_digest(Path(inspect.getfile(cls)).read_text(encoding="utf-8"))[:16]
    except (OSError, TypeError):
        return ""


def _show(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
