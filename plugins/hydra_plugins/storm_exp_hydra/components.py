"""The components of all plugins, as options of Hydra's menus."""

from __future__ import annotations

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

from storm_exp import Component
from storm_exp._contract.plugins import load_plugins


class ComponentSource(ConfigSource):
    """Makes a configuration of a component when it is chosen: most never are.

    Hydra's own store holds them made, and copies them all for every configuration it composes.
    """

    @staticmethod
    def scheme() -> str:
        """Return what a path in Hydra's search path begins with to mean this source."""
        return "components"

    def available(self) -> bool:
        """Return that there are components."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is a menu."""
        return config_path.rstrip("/") in load_plugins().menus()

    def is_config(self, config_path: str) -> bool:
        """Return whether a path is a menu's component."""
        menu, _, name = config_path.rstrip("/").removesuffix(".yaml").rpartition("/")
        return name in self._names(menu)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the names of a menu's components, or of the menus."""
        menus = load_plugins().menus()
        if config_path:
            names, kind = self._names(config_path.rstrip("/")), ObjectType.CONFIG
        else:
            names, kind = list(menus), ObjectType.GROUP
        return sorted(names) if results_filter in (None, kind) else []

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a component's settings with their defaults."""
        if not self.is_config(config_path):
            raise ConfigLoadError(f"there is no component {config_path}")
        plugins = load_plugins()
        component = plugins.component(config_path.removesuffix(".yaml").rpartition("/")[2])
        provider = plugins.owner(component).distribution
        node = default_settings(component)
        return ConfigResult(provider, self.full_path(), node, header={"package": None})

    @staticmethod
    def _names(menu: str) -> list[str]:
        return [component.name for component in load_plugins().menus().get(menu, [])]


def default_settings(component: Component) -> DictConfig:
    """Return a configuration of a component's settings as their defaults are."""
    node: DictConfig = OmegaConf.structured(component.cls)
    _open_dicts(node)
    return node


def _open_dicts(node: DictConfig) -> None:
    """Let overrides add keys to settings that are dicts: Hydra closes every node without a word."""
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            if OmegaConf.get_type(child) is dict:
                OmegaConf.set_struct(child, False)
            else:
                _open_dicts(child)
