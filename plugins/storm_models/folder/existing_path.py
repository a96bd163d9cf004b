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
    if path.is_absolute():
        raise SettingError(setting, value, "there is no such file or directory")
    raise SettingError(
        setting,
        value,
        f"there is no {path.absolute()} (a relative path starts from the working directory and is "
        "never looked up on the hub)",
    )
