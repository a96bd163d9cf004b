"""Keys: the sha256 of everything that determines an artifact, and of nothing else."""

from __future__ import annotations

from typing import Any

from storm_exp._contract.component import Component
from storm_exp._contract.digest import value_digest
from storm_exp._contract.errors import PluginError
from storm_exp._store.store import FORMAT


def artifact_key(
    component: Component,
    settings: dict[str, Any],
    inputs: dict[str, str | list[str]],
    fingerprint: Any,
    rehearsed_in: str = "",
) -> str:
    """Return the key of the artifact that a component makes with these settings and inputs.

    `rehearsed_in`, a digest of the environment, distinguishes the artifacts of rehearsals.
    Raises PluginError if a value cannot be written as JSON.
    """
    covered = {
        "format": FORMAT,
        "component": component.name,
        "version": component.version,
        "settings": settings,
        "inputs": inputs,
        "fingerprint": fingerprint,
    }
    if rehearsed_in:
        covered["rehearsed_in"] = rehearsed_in
    try:
        return value_digest(covered)
    except (TypeError, ValueError) as error:
        raise PluginError(f"component '{component.name}': its key is not JSON ({error})") from error
