"""Settings: the values of a stage, read from a composed configuration and checked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from omegaconf import Container, DictConfig, Node, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from storm_exp._compose.graph import Stage
from storm_exp._compose.presets import new_setting
from storm_exp._compose.provenance import Origins
from storm_exp._compose.type_errors import explain_type_error
from storm_exp._contract.docstrings import explain_field
from storm_exp._contract.errors import ComposeError, StormError, did_you_mean, plugin_code
from storm_exp._contract.plugins import Plugins


def check_keys(node: Any, path: str, origins: Origins) -> None:
    """Raise ComposeError for keys that are not fields of the dataclass (`+key=` adds them)."""
    cls = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(cls):
        return
    fields = [field.name for field in dataclasses.fields(cls)]
    for key in map(str, node):
        full = f"{path}.{key}"
        if key not in fields:
            near = did_you_mean(new_setting("*", key, fields) or key, fields)
            raise ComposeError(f"'{full}' is not a setting{near} ({origins.of(full)})")
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            check_keys(child, full, origins)


def check_seed(seed: Any, name: str, origins: Origins) -> None:
    """Raise ComposeError for a seed that some random number generator would not accept."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        right = "must be a whole number from 0 to 4294967295"
        raise ComposeError(f"{name}={seed!r}: {right} ({origins.of(name)})")


def read_settings(
    config: DictConfig,
    stage: Stage,
    plugins: Plugins,
    origins: Origins,
    shared: dict[Any, Any],
) -> Any:
    """Return the component of a stage, instantiated from its settings.

    Cells of a sweep with equal settings share an instance in `shared`. Raises ComposeError.
    """
    values = check_values(config[stage.name], stage.name, origins, stage.surroundings)
    written = stage.component.name, values
    if written not in shared:
        shared[written] = _build(config, stage, plugins, origins)
    return shared[written]


def _build(config: DictConfig, stage: Stage, plugins: Plugins, origins: Origins) -> Any:
    name, component, node = stage.name, stage.component, config[stage.name]
    lacks = plugins.lacks(component)
    if lacks:
        raise ComposeError(f"{name}: the component '{component.name}' {lacks}")
    what = f"{name}: the component '{component.name}' (settings)"
    try:
        with plugin_code(what, OmegaConfBaseException):
            settings: Any = OmegaConf.to_object(node)
    except MissingMandatoryValue as error:
        path = str(error.full_key)
        holds = explain_field(component.cls, path.split(".")[1:])
        notes = "; ".join(filter(None, [holds, origins.of(name)]))
        raise ComposeError(f"{path} has no value; give one: {path}=… ({notes})") from error
    except StormError as error:
        raise ComposeError(origins.locate(error, name)) from error
    except OmegaConfBaseException as error:
        path, problem = explain_type_error(error)
        raise ComposeError(f"{problem} ({origins.of(path or name)})") from error
    if isinstance(getattr(settings, "seed", None), int):
        check_seed(settings.seed, f"{name}.seed", origins)
    return settings


def check_values(
    node: Node, path: str, origins: Origins, surroundings: list[str] | None = None
) -> Any:
    """Return the contents of a node as a hashable value, with interpolations resolved.

    Paths of values that come from environment variables are added to `surroundings`. Raises
    ComposeError for values that cannot be part of keys, records and files.
    """
    try:
        resolved = node._maybe_dereference_node()
    except OmegaConfBaseException as error:
        problem = explain_type_error(error)[1].removeprefix(f"{path}: ")
        raise ComposeError(f"{path}={node._value()}: {problem} ({origins.of(path)})") from error
    if resolved is None:
        return object()  # a missing value, refused later; equal to no other
    if isinstance(resolved, Container):
        children = resolved._content
        if not isinstance(children, dict | list):
            return repr(children)
        if "_target_" in children and isinstance(children, dict):
            where = origins.of(path)
            raise ComposeError(f"{path}._target_: import paths are not settings ({where})")
        named = children.items() if isinstance(children, dict) else enumerate(children)
        return tuple(
            (name, check_values(child, f"{path}.{name}", origins, surroundings))
            for name, child in named
        )
    value = resolved._value()
    if resolved is not node and "oc.env:" in str(node._value()) and surroundings is not None:
        surroundings.append(path)
    problem = _unfit(value)
    if problem:
        raise ComposeError(f"{path}={str(value)[:40]!r}: {problem} ({origins.of(path)})")
    return repr(value)


def _unfit(value: Any) -> str:
    """Return why a value cannot be that of a setting; empty if it can."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "must be a number of at most 18 digits"
    if isinstance(value, str) and ("\0" in value or (not value.isascii() and _is_broken(value))):
        return "must be a text without NUL and without unpaired surrogates"
    return ""


def _is_broken(text: str) -> bool:
    return any(0xD800 <= ord(character) < 0xE000 for character in text)
