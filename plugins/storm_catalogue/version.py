"""The verb `version`."""

from __future__ import annotations

import importlib.metadata

import hydra

from storm_exp import Answer


def version(arguments: list[str]) -> int:
    """Print the versions of storm-exp and of Hydra.

    usage: storm-exp version [--json]

    `storm-exp --version` is the same.

    for example:
        storm-exp version --json
    """
    found = {"storm-exp": importlib.metadata.version("storm-exp"), "Hydra": hydra.__version__}
    items = [{"name": name, "version": version} for name, version in found.items()]
    line = ", ".join(f"{name} {version}" for name, version in found.items())
    return Answer("version", items, [line]).print(arguments)
