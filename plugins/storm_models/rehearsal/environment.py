"""The environment that a rehearsal tests: installed versions, and the sources that run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import platform
from pathlib import Path


def environment_digest() -> str:
    """Return a digest of the environment that a rehearsal tests.

    It covers the versions of all installed distributions, and the sources of engine and plugins:
    while these are unchanged, a rehearsed stage need not be rehearsed again.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    digest.update(json.dumps(installed_distributions()).encode())
    entries = importlib.metadata.entry_points(group="storm_exp")
    for module in ("storm_exp", *sorted({entry.module for entry in entries})):
        for file in _sources(module):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def installed_distributions() -> dict[str, str]:
    """Return {name: version} of all installed distributions."""
    versions = {each.name: each.version for each in importlib.metadata.distributions()}
    return dict(sorted(versions.items()))


def _sources(module: str) -> list[Path]:
    """Return the source files of a package, or of a single module."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return []
    file = Path(spec.origin)
    return sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
