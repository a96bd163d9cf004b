"""Options: recipes, presets, sweeps and components, found in files and plugins."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import yaml

from storm_catalogue.setting import Place, place_of
from storm_exp import Component, Runtime, load_plugins, preset_folders

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RECIPES, SWEEPS, RUNTIME = "recipe", "sweep", "runtime"


@dataclasses.dataclass(frozen=True)
class Option:
    """Something with a name that can be chosen."""

    kind: str
    """recipe, preset, component, sweep or section."""
    groups: tuple[str, ...]
    """Menus that it stands in; a component may stand in several."""
    name: str
    """Name as it is typed, with its folder: `tinyllama/epoch_1`."""
    summary: str
    """First sentence of its description."""
    place: Place | None

    @property
    def words(self) -> str:
        """How it is chosen on a command line, such as `merger=solar`."""
        return f"{self.groups[0]}={self.name}" if self.groups else f"{self.name}.SETTING=…"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        names = {"kind": self.kind, "name": self.name, "groups": list(self.groups)}
        return names | {"choose": self.words, "summary": self.summary, "place": str(self.place)}


def folders(own: list[str]) -> list[Path]:
    """Return the folders of configurations: those given by `-cd` first, as they come first."""
    return [*(Path(folder).absolute() for folder in own), *preset_folders()]


def in_files(kind: str, groups: list[str], own: list[str]) -> list[Option]:
    """Return the options of groups that are YAML files; of two of one name, the first."""
    found: dict[tuple[str, str], Option] = {}
    for folder in folders(own):
        for group in groups:
            for file in sorted((folder / group).rglob("*.yaml")):
                if not file.is_file():
                    continue
                name = str(file.relative_to(folder / group).with_suffix(""))
                option = Option(kind, (group,), name, _first_sentence(comment(file)), Place(file))
                found.setdefault((group, name), option)
    return sorted(found.values(), key=lambda option: (option.groups, option.name))


def recipes(own: list[str]) -> list[Option]:
    """Return all recipes."""
    return in_files("recipe", [RECIPES], own)


def sweeps(own: list[str]) -> list[Option]:
    """Return all named sweeps."""
    return in_files("sweep", [SWEEPS], own)


def presets(own: list[str]) -> list[Option]:
    """Return the presets of all menus and sections."""
    return in_files("preset", [*sorted(load_plugins().menus()), *section_classes()], own)


def preset_lines(own: list[str]) -> dict[Option, list[str]]:
    """Return, for each preset, what it starts from, and that in turn, down to the component.

    These are `menu/option`. A file that cannot be read starts from nothing.
    """
    options = presets(own)
    start = {f"{option.groups[0]}/{option.name}": _start(option) for option in options}

    def line(name: str, before: tuple[str, ...]) -> list[str]:
        return (
            [name, *line(start[name], (*before, name))]
            if name in start and name not in before
            else [name]
        )

    return {option: line(f"{option.groups[0]}/{option.name}", ()) for option in options}


def _start(preset: Option) -> str:
    """Return the first of the defaults of a preset, as `menu/option`."""
    assert preset.place is not None
    file = preset.place.file
    first = _first_default(file, file.stat().st_mtime_ns).partition("@")[0]
    return first.removeprefix("/") if first.startswith("/") else f"{preset.groups[0]}/{first}"


@functools.cache
def _first_default(file: Path, changed: int) -> str:
    """Return the first of the defaults of a file; empty if it cannot be read."""
    try:
        body = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)
        return str(body["defaults"][0])
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return ""


def section_classes() -> dict[str, type]:
    """Return the classes of root sections with settings: the engine's runtime, and plugins'."""
    return {RUNTIME: Runtime, **load_plugins().sections()}


def sections() -> list[Option]:
    """Return the root sections of a configuration that have settings."""
    return [
        Option("section", (), name, _first_sentence(inspect.getdoc(cls) or ""), place_of(cls))
        for name, cls in section_classes().items()
    ]


def components() -> list[Option]:
    """Return the components of all plugins that could be loaded."""
    found = [describe_component(each) for each in load_plugins().components.values()]
    return sorted(found, key=lambda option: (option.groups[0], option.name))


def describe_component(component: Component) -> Option:
    """Return a component as an option."""
    summary = _first_sentence(inspect.getdoc(component.cls) or "")
    place = place_of(component.cls)
    return Option("component", component.menus, component.name, summary, place)


def everything(own: list[str]) -> list[Option]:
    """Return recipes, presets, components, sweeps and sections."""
    return [*recipes(own), *presets(own), *components(), *sweeps(own), *sections()]


def comment(file: Path) -> str:
    """Return the comment that a file begins with."""
    lines = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("# @package", "# yaml-language-server")):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def _first_sentence(text: str) -> str:
    """Return the first sentence of a description, without line breaks and indented examples."""
    paragraph = " ".join(re.split(r"\n\n|\n  ", text.strip())[0].split())
    return re.split(r"(?<=[.?!:]) (?=[A-Z`])", paragraph)[0].rstrip(".:")
