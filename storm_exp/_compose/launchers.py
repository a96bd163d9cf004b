"""Launchers of a sweep's cells: which there are, and how the others are installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from storm_exp._contract.errors import ComposeError, did_you_mean

LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""Launchers of cells that come with an extra of this distribution."""


def check_launcher(name: str, known: Iterable[str]) -> None:
    """Raise ComposeError for a launcher of cells that is not installed."""
    options = set(known)
    if name not in options:
        raise ComposeError(f"hydra/launcher={name}: no such option{launcher_hint(name, options)}")


def launcher_hint(name: str, known: Iterable[str]) -> str:
    """Say how a launcher is installed, or which was meant."""
    if name in LAUNCHER_EXTRAS:
        return f"; it comes with pip install 'storm-exp[{LAUNCHER_EXTRAS[name]}]'"
    return did_you_mean(name, known)


def cell_launchers(folders: Iterable[str]) -> set[str]:
    """Return the launchers that Hydra finds, in its plugins and in `folders` of configurations."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins as HydraPlugins

    HydraPlugins.instance()
    hydra = ConfigStore.instance().repo.get("hydra", {})
    files = [*hydra.get("launcher", {})] if isinstance(hydra, dict) else []
    for folder in [*folders, *sys.path]:
        files += [file.name for file in Path(folder).glob("hydra/launcher/*.yaml")]
    return {file.removesuffix(".yaml") for file in files}
