"""Names that presets and settings had before, as the `renamed.yaml` of their folder lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FILE = "renamed.yaml"


def new_preset(folders: list[Path], menu: str, option: str) -> str | None:
    """Return what an option of a menu is called now, None for one that had no other name."""
    return _look_up(folders, "presets", menu, option)


def new_setting(folders: list[Path], component: str, setting: str) -> str | None:
    """Return what a component's setting is called now, None for one that had no other name."""
    return _look_up(folders, "settings", component, setting)


def _look_up(folders: list[Path], *names: str) -> str | None:
    for folder in folders:
        try:
            found: Any = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found
    return None
