"""Provenance of settings: an override, a preset, a recipe, or the component's default."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from pathlib import Path
from typing import Any

from hydra.core.default_element import ConfigDefault
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from storm_exp._contract.errors import StormError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.setting_values import flat

NO_PACKAGE = ": the first line of a recipe's file must be `# @package _global_`"
"""What a recipe lacks whose settings are found below the name of the folder of recipes."""
_LONGEST_PATH = 1000


def groups_beside_menus() -> list[str]:
    """Return the config groups whose options are no components: those of sections, and two more."""
    return ["recipe", "sweep", "runtime", *load_plugins().sections()]


@dataclasses.dataclass
class Origins:
    """How a configuration was composed, as recorded by Hydra."""

    recipe: str
    overrides: list[str]
    """Overrides as they were written, those of Hydra's own settings aside."""
    choices: dict[str, str]
    """{stage: "menu/option"}"""
    menus: dict[str, str]
    """{stage: menu}"""
    own_recipe: bool = False
    """Whether the recipe is in a folder given by `-cd`."""
    swept: frozenset[str] = frozenset()
    """Overrides that come from a shipped sweep."""

    def wrote(self, *paths: str) -> bool:
        """Return whether the user set one of these paths or a parent of one."""
        users = [name for name, word in self._named().items() if word not in self.swept]
        return any(path == n or path.startswith(f"{n}.") for path in paths for n in users)

    def _named(self) -> dict[str, str]:
        return {o.split("=")[0].lstrip("+~").split("@")[-1]: o for o in self.overrides}

    def of(self, path: str) -> str:
        """Return where the value at a dotted path comes from, for a message."""
        named = self._named()
        parts = path.split(".")
        places = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
        inside = [name for name in named if name.startswith(f"{path}.")]
        # The default of a setting may be a setting outside the stages: seed, chat.template.
        for place in (*places[:-1], ".".join(parts[1:]), places[-1], *inside):
            if place in named:
                return f"from the override `{named[place]}`"
        if file := _file_that_sets(path, f"recipe/{self.recipe}"):
            return f"from {file}"
        if option := self.choices.get(parts[0]):
            return f"from the option {option}"
        return f"from recipe/{self.recipe}" if self.recipe else "from the configuration"

    def locate(self, error: StormError, stage: str, label: str = "", settings: Any = None) -> str:
        """Return the message of an error in a stage, with the provenance of its settings.

        These are the ones that the error names, and those of `settings` whose value is a path that
        the message contains. `label` is the stage with the element that it maps over.
        """
        if setting := getattr(error, "setting", ""):
            return f"{stage}.{error} ({self.of(f'{stage}.{setting}')})"
        text = str(error)
        involved = {**_paths_in(text, settings), **error.settings}
        sources = "; ".join(
            f"{stage}.{name}={_typed(value)} {self.of(f'{stage}.{name}')}"
            for name, value in involved.items()
        )
        return f"{label or stage}: {text}" + (f" ({sources})" if sources else "")


def _file_that_sets(path: str, file: str) -> str:
    """Return which of a recipe's file and the files that it builds on sets a value, "" for none."""
    hydra: Any = GlobalHydra.instance().hydra
    found = hydra and hydra.config_loader.repository.load_config(file)
    if not found or OmegaConf.select(found.config, path, default=found) is not found:
        return file if found else ""
    below = [each.path or "" for each in found.defaults_list if isinstance(each, ConfigDefault)]
    paths = (posixpath.join("/", posixpath.dirname(file), each)[1:] for each in below)
    others = (_file_that_sets(path, each) for each in paths)
    return next(filter(None, others), "")


def _paths_in(text: str, settings: Any) -> dict[str, str]:
    """Return the settings whose value is a path contained in a text."""
    known = dataclasses.is_dataclass(settings) and not isinstance(settings, type)
    values = flat(dataclasses.asdict(settings)) if known else {}
    return {name: v for name, v in values.items() if isinstance(v, str) and _names(text, v)}


def _names(text: str, value: str) -> bool:
    """Return whether a text contains a path, as written or made absolute."""
    if not 0 < len(value) < _LONGEST_PATH or not value.isprintable() or value == "/":
        return False
    path = Path(value)
    if "/" not in value and not path.exists():
        return False
    forms = {value, str(path.absolute())}
    if value.startswith("~/"):
        forms.add(str(path.expanduser()))
    return any(re.search(rf"(?<![\w/.]){re.escape(form)}(?![\w.-])", text) for form in forms)


def _typed(value: object) -> str:
    """Return a value as in an override."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def read_origins(hydra: DictConfig) -> Origins:
    """Read the origins from the `hydra` node of a composed configuration."""
    choices: dict[str, Any] = dict(hydra.runtime.choices)
    stages, menus = {}, {}
    others = groups_beside_menus()
    for group, option in choices.items():
        if option is None or group.startswith("hydra/") or group in others:
            continue
        menu, _, package = group.partition("@")
        stages[package or menu] = f"{menu}/{option}"
        menus[package or menu] = menu
    recipe = str(choices.get("recipe") or "")
    folders = [s.path for s in hydra.runtime.config_sources if s.provider == "command-line"]

    def is_the_users(menu: str) -> bool:
        return any(Path(folder, menu, f"{choices.get(menu)}.yaml").is_file() for folder in folders)

    return Origins(
        recipe=recipe,
        overrides=as_typed(hydra),
        choices=stages,
        menus=menus,
        own_recipe=is_the_users("recipe"),
        swept=frozenset() if is_the_users("sweep") else _swept(hydra),
    )


def _swept(hydra: DictConfig) -> frozenset[str]:
    """Return the overrides that the file of a sweep gives its cells."""
    params = hydra.sweeper.get("params")
    if not isinstance(params, DictConfig):
        return frozenset()
    return frozenset(
        f"{name!s}={value.strip()}"
        for name, values in params.items_ex(resolve=False)
        for value in str(values).split(",")
    )


def as_typed(hydra: DictConfig) -> list[str]:
    """Return the overrides as they were written, with interpolations unresolved."""
    return [str(word) for word in hydra.overrides.task._iter_ex(resolve=False)]
