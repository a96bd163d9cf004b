"""Plugins that are installed for the time of a test."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from storm_exp._contract.errors import PluginError
from storm_exp._contract.plugins import ENTRY_POINT_GROUP, Plugin, load_plugins


@contextlib.contextmanager
def installed(*plugins: ModuleType | Path) -> Iterator[None]:
    """Have plugins installed, in this process and in those that it starts.

    A plugin is a module with hooks, or a folder as `pip install --target FOLDER` leaves one. What
    is installed anyway stays. Raises PluginError for a module that cannot be loaded as a plugin.
    """
    modules = [each for each in plugins if isinstance(each, ModuleType)]
    path, inherited = sys.path[:], os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory(prefix="storm-plugins-") as site:
        for module in modules:
            _write_metadata(Path(site), module)
        folders = [site, *(str(each) for each in plugins if isinstance(each, Path))]
        sys.path[:0] = folders
        os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *([inherited] if inherited else [])])
        _look_again()
        try:
            _check_loaded([_name(module) for module in modules])
            yield
        finally:
            sys.path[:] = path
            os.environ.pop("PYTHONPATH")
            if inherited is not None:
                os.environ["PYTHONPATH"] = inherited
            _look_again()


def _write_metadata(site: Path, module: ModuleType) -> None:
    """Write what pip would of a distribution that brings this plugin."""
    name = _name(module)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    entry = f"[{ENTRY_POINT_GROUP}]\n{name} = {module.__name__}\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _check_loaded(names: list[str]) -> None:
    broken: list[Plugin] = []
    with contextlib.suppress(PluginError):  # about two plugins of one name: every command says so
        broken = load_plugins().broken() if names else []
    for plugin in broken:
        if plugin.name in names:
            raise PluginError(f"the plugin '{plugin.name}' could not be loaded: {plugin.error}")


def _look_again() -> None:
    """Have plugins looked for when they are next needed."""
    importlib.invalidate_caches()
    load_plugins.cache_clear()
