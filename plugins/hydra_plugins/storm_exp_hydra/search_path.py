"""Hydra's search path: plugins' folders of presets, and components."""

from __future__ import annotations

from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from hydra_plugins.storm_exp_hydra.components import ComponentSource
from hydra_plugins.storm_exp_hydra.preset_files import FileConfigSource
from storm_exp._contract.plugins import load_plugins


class PresetFolders(SearchPathPlugin):
    """Search path with plugins after the engine, so that they cannot replace its presets."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append every plugin's folder, then all components; have all files checked."""
        SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource
        for name, folder in load_plugins().config_folders():
            search_path.append(provider=name, path=f"file://{folder}")
        search_path.append(provider="storm-exp", path=f"{ComponentSource.scheme()}://")
