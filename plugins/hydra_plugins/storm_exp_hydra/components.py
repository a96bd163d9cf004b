"""The components of all plugins, as options of Hydra's menus."""

from __future__ import annotations

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp import Component, PluginError
from storm_exp._contract.plugins import load_plugins


class ComponentSource(ConfigSource):
    """Source of the components' configurations, created when a component is chosen.

    Hydra's own store would hold those of all components, and copy them in each composition.
    """

    @staticmethod
    def scheme() -> str:
        """Return the scheme of this source in Hydra's search path."""
        return "components"

    def available(self) -> bool:
        """Return True: there are always components."""
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
    """Return a configuration with the default settings of a component.

    Raises PluginError for a default that is not of its setting's type.
    """
    try:
        node: DictConfig = OmegaConf.structured(component.cls)
    except OmegaConfBaseException as error:
        where = f"{component.cls.__module__}.{component.cls.__qualname__}"
        raise PluginError(f"{where}: {str(error).splitlines()[0]}") from error
    _open_dicts(node)
    return node


def _open_dicts(node: DictConfig) -> None:
    """Allow overrides to add keys to settings that are dicts, which Hydra otherwise prevents."""
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig):
            if OmegaConf.get_type(child) is dict:
                OmegaConf.set_struct(child, False)
            else:
                _open_dicts(child)
