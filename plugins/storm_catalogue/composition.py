"""Configurations composed to be looked at, with the place that every value comes from."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_catalogue.option import LOADER
from storm_catalogue.setting import Place, plain, settings_of
from storm_exp import Component, load_plugins, preset_folders

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
COMMAND_LINE = "the command line"


@dataclasses.dataclass(frozen=True)
class Value:
    """Value of a setting."""

    path: str
    value: Any
    """Resolved, in plain types; as it is written if it refers to something that is not there."""
    written: str
    """Interpolation by which it is written, such as `${seed}`; else empty."""
    origin: str
    """`FILE:LINE`, `the command line`, or, by an interpolation, where that one's value is."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return dataclasses.asdict(self)


@dataclasses.dataclass
class Composed:
    """Composed configuration and where its values come from."""

    config: DictConfig
    choices: dict[str, str]
    """{stage: "menu/option"} and {group: "group/option"}"""
    places: dict[str, str]
    """Origin by dotted path."""
    files: list[Path]
    """The files that it is composed of, in the order in which they are merged."""

    @functools.cached_property
    def _written(self) -> Any:
        return OmegaConf.to_container(self.config, resolve=False, enum_to_str=True)

    def stages(self) -> dict[str, Component]:
        """Return the component of every stage."""
        by_class = {each.cls: each for each in load_plugins().components.values()}
        kinds = {str(name): OmegaConf.get_type(self.config, str(name)) for name in self.config}
        return {name: by_class[kind] for name, kind in kinds.items() if kind in by_class}

    def values(self, root: str, cls: type) -> list[Value]:
        """Return the values of a stage or section, whose settings a class declares.

        The members of a dict are values of their own.
        """
        found = []
        for setting in settings_of(cls):
            value = self._value(f"{root}.{setting.path}")
            members = value.value if isinstance(value.value, dict) else {}
            found += [self._value(f"{value.path}.{name}") for name in members] or [value]
        return found

    def sections(self) -> dict[str, type]:
        """Return the classes of the sections that plugins declare."""
        found = load_plugins().sections()
        return {name: kind for name, kind in found.items() if name in self.config}

    def missing(self) -> list[str]:
        """Return the settings of stages that have no value yet."""
        values = (v for name, each in self.stages().items() for v in self.values(name, each.cls))
        return [value.path for value in values if value.value == "???"]

    def _value(self, path: str) -> Value:
        raw: Any = self._written
        for name in path.split("."):
            raw = raw[name]
        reference = _REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
        try:
            resolved = OmegaConf.select(self.config, path, throw_on_missing=True)
            if OmegaConf.is_config(resolved):
                resolved = OmegaConf.to_container(resolved, resolve=True, enum_to_str=True)
        except OmegaConfBaseException:  # it refers to what is not there
            resolved = raw
        origin = self._origin(path)
        if reference and origin != COMMAND_LINE:
            origin = self._origin(reference[1]) or origin
        return Value(path, plain(resolved), raw if reference else "", origin)

    def _origin(self, path: str) -> str:
        """Return where a value comes from; of members of a dict, all their places."""
        within = [place for each, place in self.places.items() if each.startswith(f"{path}.")]
        if within:
            return ", ".join(dict.fromkeys(within))
        while path not in self.places and "." in path:
            path = path.rpartition(".")[0]
        return self.places.get(path, "")


def compose(words: list[str], own: list[str]) -> Composed:
    """Compose a configuration as a run would, without planning it; raises what Hydra raises."""
    main = preset_folders()[0]
    search_path = create_config_search_path(f"file://{main}")
    for folder in own:
        schema = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{Path(folder).absolute()}", schema)
    hydra.version.setbase("1.3")
    GlobalHydra.instance().clear()
    try:
        loader = Hydra.create_main_hydra2("storm_exp", search_path).config_loader
        config = loader.load_configuration("config", words, RunMode.RUN)
        return _composed(config, loader, words)
    finally:
        GlobalHydra.instance().clear()


def _composed(config: DictConfig, loader: ConfigLoader, words: list[str]) -> Composed:
    places: dict[str, str] = {}
    files: list[Path] = []
    choices = {
        group.partition("@")[2] or group: f"{group.partition('@')[0]}/{option}"
        for group, option in config.hydra.runtime.choices.items()
        if option and not group.startswith("hydra/")
    }
    for default in loader.compute_defaults_list("config", words, RunMode.RUN).defaults:
        name = str(default.config_path)
        if name.startswith("hydra/"):
            continue
        package = "" if default.package in (None, "", "_global_") else f"{default.package}."
        file = _find(name, loader)
        if file is not None:
            files.append(file)
            written = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
            for path, line in _leaves(written, package):
                places[path] = str(Place(file, line))
            continue
        component = load_plugins().components.get(name.rpartition("/")[2])
        for setting in settings_of(component.cls) if component else ():
            places[f"{package}{setting.path}"] = f"default, {setting.place}"
    for word in words:
        path = word.partition("=")[0].lstrip("+~")
        if path.partition("@")[2] not in choices and path not in choices:
            places[path] = COMMAND_LINE
    return Composed(config, choices, places, list(dict.fromkeys(files)))


def _find(name: str, loader: ConfigLoader) -> Path | None:
    """Return the file of an option, in the first folder that has one; None for a component."""
    folders = [Path(source.path) for source in loader.get_sources() if source.scheme() == "file"]
    files = (folder / f"{name}.yaml" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _leaves(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    """Return path and line of every value that is no mapping, and of empty mappings."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        path = f"{prefix}{key.value}"
        if not prefix and key.value in ("defaults", "hydra"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{path}.")
        elif path.rpartition(".")[2] != "defaults":
            yield path, key.start_mark.line + 1
