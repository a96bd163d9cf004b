"""Presets and recipes that ship, read from their files without a command line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.storm_exp_hydra.components import default_settings
from storm_exp._compose.presets import config_folder
from storm_exp._contract.plugins import load_plugins

FOLDERS = [config_folder(), *(folder for _, folder in load_plugins().config_folders())]
"""The folders of configurations: the engine's, then one of every plugin that has one."""


def files(*menus: str) -> dict[str, Path]:
    """Return {menu/option: file} of some menus."""
    return {
        str(file.relative_to(folder).with_suffix("")): file
        for folder in FOLDERS
        for menu in menus
        for file in sorted((folder / menu).rglob("*.yaml"))
    }


PRESETS = files(*load_plugins().menus())
GRAPHS = files("graph")
RECIPES = files("recipe")
SWEEPS = files("sweep")


def read(preset: str) -> tuple[str, dict[str, Any]]:
    """Return what a preset starts from, another one or a component, and its own settings."""
    body = yaml.safe_load(PRESETS[preset].read_text(encoding="utf-8"))
    start, own = body.pop("defaults")
    assert own == "_self_", f"{preset}: defaults must be [component or preset, _self_]"
    if start.startswith("/"):
        return start.removeprefix("/").removesuffix("@_here_"), body
    return f"{preset.partition('/')[0]}/{start}", body


def line(option: str) -> list[str]:
    """Return a preset, what it starts from, and so on as far as the component."""
    return [option, *(line(read(option)[0]) if option in PRESETS else [])]


def component(option: str) -> str:
    """Return the name of the component of a preset."""
    return line(option)[-1].partition("/")[2]


@functools.cache
def settings(option: str) -> DictConfig:
    """Return the settings of a preset, or those of a component by itself."""
    if option in PRESETS:
        start, own = read(option)
        merged = OmegaConf.merge(settings(start), own)
        assert isinstance(merged, DictConfig)
        return merged
    node = default_settings(load_plugins().component(component(option)))
    return node


def instance(option: str, seed: int = 0) -> Any:
    """Return the component of a preset with its settings, seed and chats by the defaults."""
    root = OmegaConf.create({"seed": seed})
    for name, section in load_plugins().sections().items():
        root[name] = OmegaConf.structured(section)
    root["stage"] = settings(option).copy()
    return OmegaConf.to_object(root.stage)
