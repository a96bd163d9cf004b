"""Artifacts as the values that verbs print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp import Manifest
from storm_report.run_folders import read_runs
from storm_report.store.inventory import Entry


def describe_manifest(manifest: Manifest) -> dict[str, Any]:
    """Return what an artifact is."""
    return {"key": manifest.key, "component": manifest.component, "artifact": manifest.artifact}


def describe_entry(entry: Entry, users: list[str], pinned: bool) -> dict[str, Any]:
    """Return an artifact with its size, its last use, and the runs that use it."""
    return {
        **describe_manifest(entry.manifest),
        "state": entry.state,
        "bytes": entry.size,
        "freeable_bytes": entry.freeable,
        "last_use": entry.used_text,
        "runs": users,
        "pinned": pinned,
    }


def users_of(outputs: Path) -> dict[str, list[str]]:
    """Return the names of the runs that use each key."""
    users: dict[str, list[str]] = {}
    for run in read_runs(outputs):
        for key in run.artifacts():
            users.setdefault(key, []).append(run.folder.name)
    return users
