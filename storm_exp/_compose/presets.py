"""Folders of presets, and other names of presets, settings and verbs.

The file `other_names.yaml` of a folder lists former names, and those that other libraries use.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import yaml

from storm_exp._contract.plugins import load_plugins

FILE = "other_names.yaml"


def config_folder() -> Path:
    """Return the engine's folder of configurations, in an installed wheel or a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def preset_folders() -> list[Path]:
    """Return the folders of presets: the engine's, the plugins', and those given by `-cd`."""
    shipped = [config_folder(), *(folder for _, folder in load_plugins().config_folders())]
    words = itertools.pairwise(sys.argv)
    return [*shipped, *(Path(b) for a, b in words if a in ("-cd", "--config-dir"))]


def new_preset(menu: str, option: str) -> str | None:
    """Return our name of an option of a menu, None if it is not among the other names."""
    return _look_up("presets", menu, option)


def new_setting(component: str, setting: str, known: list[str]) -> str | None:
    """Return our name of a component's setting, None if it is not among the other names.

    Names listed under `*` apply to every component that has the new name among `known`.
    """
    everywhere = _look_up("settings", "*", setting)
    return _look_up("settings", component, setting) or (everywhere if everywhere in known else None)


def new_value(value: str, known: list[str]) -> str:
    """Return our word for a value among `known`; the value itself if there is none."""
    return next(
        (word for word in (_look_up("values", value) or "").split() if word in known), value
    )


def new_verb(word: str) -> str:
    """Return `; did you mean 'X'?` if a verb has another name now, else nothing."""
    new = _look_up("verbs", word)
    return f"; did you mean '{new}'?" if new else ""


def _look_up(*names: str) -> str | None:
    for folder in preset_folders():
        try:
            node: Any = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for name in names:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, str):
            return node
    return None
