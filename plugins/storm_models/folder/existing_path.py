"""The file or directory that a setting names."""

from __future__ import annotations

from pathlib import Path

from storm_exp import SettingError


def existing_path(setting: str, value: str) -> Path:
    """Return the absolute path that a setting names; raises SettingError when nothing is there.

    A relative path starts from the working directory, `~` from the home directory.
    """
    if not value:
        raise SettingError(setting, value, "must name a file or directory")
    path = Path(value).expanduser()
    if path.exists():
        return path.absolute()
    there = next(folder for folder in path.absolute().parents if folder.exists())
    cells = there / "cells"
    if cells.is_dir():  # whose runs have their stages there
        problem = f"there is none; that run is a sweep: give the path of a model in {cells}"
    elif path.is_absolute():
        problem = "there is no such file or directory"
    else:
        problem = (
            f"there is no {path.absolute()} (a relative path starts from the working directory "
            "and is never looked up on the hub)"
        )
    raise SettingError(setting, value, problem)
