"""Plugins: discovered by entry points, loaded one by one; a broken one affects no other."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from storm_exp._contract.api_version import check_api
from storm_exp._contract.component import Component, describe
from storm_exp._contract.errors import PluginError, StormError, did_you_mean, plugin_code
from storm_exp._contract.extras import install_command
from storm_exp._contract.hook_results import checked
from storm_exp._contract.plugin_hooks import hookimpl

ENTRY_POINT_GROUP = "storm_exp"

SECTIONS = ("graph", "targets", "seed", "name", "tags", "store", "outputs", "runtime", "hydra")
"""Root keys of every configuration that are not stages."""
SPECS: list[ModuleType] = []
"""Modules with the engine's hook specifications; filled by `storm_exp`."""
Verb = Callable[[list[str]], int]


@dataclasses.dataclass
class Plugin:
    """Entry point with what it provides, or the reason why it could not be loaded."""

    name: str
    distribution: str
    module: Any = None
    error: str = ""
    components: list[str] = dataclasses.field(default_factory=list)
    config_folder: Path | None = None
    verbs: dict[str, Verb] = dataclasses.field(default_factory=dict)
    actions: dict[str, Any] = dataclasses.field(default_factory=dict)
    sections: dict[str, type] = dataclasses.field(default_factory=dict)
    requires: tuple[str, ...] = ()
    """Packages needed by those of its components that declare none."""
    extra: str = ""


class Plugins:
    """All plugins of this environment and their components."""

    def __init__(self) -> None:
        """Create an empty registry; `load_plugins` fills one from the entry points."""
        self.manager = pluggy.PluginManager("storm_exp")
        for specs in SPECS:
            self.manager.add_hookspecs(specs)
        self.plugins: list[Plugin] = []
        self.components: dict[str, Component] = {}
        self._owner: dict[str, Plugin] = {}

    @property
    def hook(self) -> Any:
        """Caller of the engine's hooks."""
        return self.manager.hook

    def add(self, plugin: Plugin, load: Callable[[], Any]) -> None:
        """Load one plugin and record a failure on it; raises PluginError for a name taken twice."""
        for other in self.plugins:
            if other.name == plugin.name:
                raise PluginError(
                    f"two plugins are named '{plugin.name}': one from the distribution "
                    f"'{other.distribution}', one from '{plugin.distribution}'; remove one"
                )
        self.plugins.append(plugin)
        try:
            plugin.module = load()
            for name in vars(self.manager.hook):  # what has the name of a hook needs no mark
                hook = getattr(plugin.module, name, None)
                if callable(hook) and not hasattr(hook, "storm_exp_impl"):
                    hookimpl(hook)
            self.manager.register(plugin.module, name=plugin.name)
            self.manager.check_pending()  # a hook that does not exist
            provided = self._check_results(plugin)
            components = [describe(cls) for cls in provided("storm_components") or []]
            folder = provided("storm_config_folder")
            plugin.config_folder = Path(folder) if folder is not None else None
            plugin.verbs = provided("storm_verbs") or {}
            plugin.actions = provided("storm_actions") or {}
            sections = provided("storm_sections") or {}
            if amiss := [name for name, k in sections.items() if not dataclasses.is_dataclass(k)]:
                raise PluginError(f"storm_sections: {amiss[0]} should be a dataclass of settings")
            plugin.sections = sections
            plugin.requires, plugin.extra = provided("storm_requires") or ((), "")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything
            known = isinstance(error, StormError)
            plugin.error = str(error) if known else f"{type(error).__name__}: {error}"
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            return
        for component in components:
            self._register(plugin, component)

    def _check_results(self, plugin: Plugin) -> Callable[[str], Any]:
        """Have the hooks of a registered plugin checked; return a function that calls one of them.

        Called by others, they raise errors that name hook and plugin, for whatever they raise.
        """
        hooks: dict[str, Callable[[], Any]] = {}
        for caller in self.manager.get_hookcallers(plugin.module) or []:
            for each in caller.get_hookimpls():
                if each.plugin is plugin.module and caller.spec is not None:
                    what = f"{caller.name}: the plugin '{plugin.name}'"
                    hook = hooks[caller.name] = checked(what, caller.spec.function, each.function)
                    each.function = plugin_code(what, OSError)(hook)  # type: ignore[misc]
        return lambda name: hooks[name]() if name in hooks else None

    def _register(self, plugin: Plugin, component: Component) -> None:
        if component.name in self.components:
            other = self._owner[component.name]
            raise PluginError(
                f"two components are named '{component.name}': one from the distribution "
                f"'{other.distribution}' (plugin {other.name}), one from "
                f"'{plugin.distribution}' (plugin {plugin.name}); rename or remove one"
            )
        if component.requires is None:
            component = dataclasses.replace(component, requires=plugin.requires, extra=plugin.extra)
        self.components[component.name] = component
        self._owner[component.name] = plugin
        plugin.components.append(component.name)

    def sections(self) -> dict[str, type]:
        """Return the root sections of all plugins: dataclasses by name.

        Raises PluginError for a name that is taken.
        """
        sections: dict[str, type] = {}
        for plugin in self.plugins:
            for name, kind in plugin.sections.items():
                if name in sections or name in SECTIONS:
                    raise PluginError(
                        f"the plugin {plugin.name} brings the section '{name}', which is taken"
                    )
                sections[name] = kind
        return sections

    def broken(self) -> list[Plugin]:
        """Return the plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.error]

    def failures(self) -> str:
        """Return a line for each plugin that could not be loaded, with the reason."""
        return "".join(
            f"\n  (the plugin '{plugin.name}' could not be loaded: {plugin.error})"
            for plugin in self.broken()
        )

    def owner(self, component: Component) -> Plugin:
        """Return the plugin that supplied a component."""
        return self._owner[component.name]

    def lacks(self, component: Component) -> str:
        """Return `needs …; pip install …` for a component without its packages, else nothing."""
        packages = component.missing_packages()
        if not packages:
            return ""
        command = f"pip install {' '.join(packages)}"
        if component.extra:
            command = install_command(component.extra, self.owner(component).distribution)
        return f"needs {', '.join(packages)}; {command}"

    def menus(self) -> dict[str, list[Component]]:
        """Return the components of every menu."""
        menus: dict[str, list[Component]] = {}
        for component in self.components.values():
            for menu in component.menus:
                menus.setdefault(menu, []).append(component)
        return menus

    def menu_ports(self, menu: str) -> set[str]:
        """Return the union of the ports of a menu's components."""
        return {port for component in self.menus().get(menu, []) for port in component.ports}

    def config_folders(self) -> list[tuple[str, Path]]:
        """Return (plugin name, folder of presets) for the plugins that have one."""
        return [(p.name, p.config_folder) for p in self.plugins if p.config_folder is not None]

    def verbs(self, taken: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
        """Return verbs and actions of plugins, and a message for each one that is left out."""
        offered = [(p, each) for p in self.plugins for each in (p.verbs | p.actions).items()]
        names = Counter([*taken, *(name for _, (name, _) in offered)])
        verbs: dict[str, Any] = {}
        problems = []
        for plugin, (name, verb) in offered:
            if names[name] == 1:
                verbs[name] = verb
            else:
                who = "the engine has" if name in taken else "another plugin brings"
                problems.append(
                    f"the verb '{name}' of the plugin '{plugin.name}' ({plugin.distribution}) is "
                    f"left out: {who} one of the same name"
                )
        return verbs, problems

    def notify(self, event: str, **arguments: Any) -> list[str]:
        """Call a hook of every plugin; return a message for each one that failed."""
        problems = []
        for implementation in getattr(self.hook, event).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (StormError, OSError) as error:
                cause = error.__cause__ or error
                problems.append(
                    f"{event}: the plugin '{implementation.plugin_name}' failed with "
                    f"{type(cause).__name__}: {cause}"
                )
        return problems

    def component(self, name: str) -> Component:
        """Return a component by name; raises PluginError with the nearest name."""
        if name not in self.components:
            near = did_you_mean(name, self.components)
            raise PluginError(f"no component '{name}'{near}{self.failures()}")
        return self.components[name]


def root_sections() -> list[str]:
    """Return the root keys of a configuration that are not stages: the engine's and plugins'."""
    return [*SECTIONS, *load_plugins().sections()]


def from_plugins(hook: str) -> list[Any]:
    """Return, as one list, what every plugin returns for a hook that gives a list."""
    return [each for found in getattr(load_plugins().hook, hook)() for each in found]


def _load(entry: importlib.metadata.EntryPoint, distribution: str) -> Any:
    check_api(entry.module, distribution)
    return entry.load()


@functools.cache
def load_plugins() -> Plugins:
    """Return the plugins of this environment, loaded once per process."""
    plugins = Plugins()
    for entry in sorted(
        importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name
    ):
        distribution = entry.dist.name if entry.dist is not None else "unknown"
        plugins.add(Plugin(entry.name, distribution), functools.partial(_load, entry, distribution))
    return plugins
