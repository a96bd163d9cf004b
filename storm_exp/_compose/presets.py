"""Folders of presets, and the names that presets and settings had before.

The `renamed.yaml` of a folder lists these.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import yaml

from storm_exp._contract.plugins import load_plugins

FILE = "renamed.yaml"


def config_folder() -> Path:
    """Return the folder of configurations: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def preset_folders() -> list[Path]:
    """Return the folders of presets: ours, those of plugins, and those that the user named."""
    shipped = [config_folder(), *(folder for _, folder in load_plugins().config_folders())]
    words = itertools.pairwise(sys.argv)
    return [*shipped, *(Path(b) for a, b in words if a in ("-cd", "--config-dir"))]


def new_preset(menu: str, option: str) -> str | None:
    """Return what an option of a menu is called now, None for one that had no other name."""
    return _look_up("presets", menu, option)


def new_setting(component: str, setting: str, known: list[str]) -> str | None:
    """Return what a component's setting is called now, None for one that had no other name.

    What is renamed under `*` holds wherever the new name is among those that are `known`.
    """
    everywhere = _look_up("settings", "*", setting)
    return _look_up("settings", component, setting) or (everywhere if everywhere in known else None)


def _look_up(*names: str) -> str | None:
    for folder in preset_folders():
        try:
            found: Any = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return None
