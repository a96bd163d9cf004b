"""Errors of Hydra and OmegaConf in words that say what to do."""

from __future__ import annotations

import re
import sys
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from storm_exp.errors import StormError, did_you_mean
from storm_exp.plugins import load_plugins


def explain(error: BaseException) -> str | None:
    """Return a message for the user, or None for an error that is a bug and needs a traceback."""
    if isinstance(error, StormError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read the override `{error.override}`: {_first_line(error)}"
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, ConfigCompositionException):
        return _composition(error)
    if isinstance(error, OmegaConfBaseException):
        return _omegaconf(error)
    if isinstance(error, YAMLError):
        return f"not YAML: {' '.join(str(error).split())}"
    if isinstance(error, HydraException):
        return str(error)
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    return None


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file or "").rpartition("/")
    if not error.options:
        return str(error)
    broken = "".join(
        f"\n  (the plugin '{plugin.name}' could not be loaded: {plugin.error})"
        for plugin in load_plugins().broken()
    )
    return f"{group}={option}: no such option{did_you_mean(option, error.options)}{broken}"


def _composition(error: ConfigCompositionException) -> str:
    text = str(error)
    cause = error.__cause__ or error.__context__
    override = re.search(r"\+?Error merging override (\S+)", text)
    key = re.search(r"Could not override '([^']+)'", text)
    file = re.match(r"In '([^']+)'", text)
    if "You must specify" in text:
        return " ".join(text.split())
    if isinstance(cause, OmegaConfBaseException):
        if isinstance(cause.__cause__, OmegaConfBaseException):
            cause = cause.__cause__
        where = ""
        if override or key:
            where = f" (from the override `{override.group(1) if override else _written(key)}`)"
        elif file:
            where = f" (from {file.group(1)})"
        unknown = _unknown_key(cause, key.group(1) if key else "")
        return f"{unknown or _omegaconf(cause)}{where}"
    offered = re.search(r"Did you mean to override (?:one of )?([^?]+)\?", text)
    if key and offered:
        near = did_you_mean(key.group(1), offered.group(1).split(", "))
        return f"'{key.group(1)}' is not in this recipe{near}"
    if key and "No match in the defaults list" in text:
        name = key.group(1)
        return f"'{name}' is neither a menu nor a setting of this recipe" + did_you_mean(
            name.split("@")[-1], _groups()
        )
    return text


def _written(key: re.Match[str] | None) -> str:
    """Return the override of a key as it was written."""
    name = key.group(1) if key else ""
    return next((word for word in sys.argv if word.lstrip("+~").startswith(f"{name}=")), name)


def _unknown_key(error: OmegaConfBaseException, path: str) -> str:
    """Return a message when the error is about a key that its parent does not have."""
    if not re.search(r"Key '.*' (is )?not in|not in struct", str(error)):
        return ""
    parent: Any = getattr(error, "parent_node", None)
    known = [str(name) for name in parent] if hasattr(parent, "__iter__") else []
    name = str(getattr(error, "key", "") or path.rpartition(".")[2])
    full = str(getattr(error, "full_key", "") or path)
    if full.startswith("graph."):
        near = did_you_mean(name, known)
        return f"'{full}' is not in the graph{near} (to add it, write `+{full}=…`)"
    return f"'{full}' is not a setting{did_you_mean(name, known)}"


def _omegaconf(error: OmegaConfBaseException) -> str:
    unknown = _unknown_key(error, "")
    if unknown:
        return unknown
    full = str(getattr(error, "full_key", "") or "")
    first = _first_line(error)
    return f"{full}: {first}" if full else first


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _groups() -> list[str]:
    menus = list(load_plugins().menus())
    root = ConfigStore.instance().repo
    return [*menus, "recipe", "sweep", "runtime", *[name for name in root if name == "hydra"]]
