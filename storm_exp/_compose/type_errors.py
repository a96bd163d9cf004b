"""Messages about values of the wrong type, derived from the errors of OmegaConf."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp._compose.presets import new_setting, new_value
from storm_exp._contract.errors import did_you_mean
from storm_exp._contract.setting_values import flat

_LIST, _DICT = "must be a list, such as [a,b]", "must be a dict, such as {name: value}"
_KINDS = (
    (r"Value '(.*)' of type '\w+' could not be converted to Float", "must be a number"),
    (r"Value '(.*)' of type '\w+' could not be converted to Integer", "must be a whole number"),
    (r"Value '(.*)' is not a valid bool", "must be true or false"),
    (r"Cannot convert '\w+' to string: '(.*)'", "must be a text"),
    (r"field '.*' is not Optional()", "must not be null"),
    (r"is not a ListConfig()", _LIST),
    (r"Cannot assign \w+ to (?:D|d)ict()|is not a subclass of", _DICT),
)


def explain_type_error(error: OmegaConfBaseException, override: str = "") -> tuple[str, str]:
    """Return (path of the setting, `path=value: what would be right`).

    The path is empty if the error names none. For other errors the message is their first line.
    """
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    path = str(getattr(error, "full_key", "") or "")
    source = re.search(r"interpolation '\$\{(.*?)\}'", text)
    if source and ":" not in source[1]:
        path = source[1]
    elif "." not in path and override.endswith(f".{path}"):
        path = override
    holder = re.sub(r"\[(\d+)\]", r".\1", path)
    if path and override.startswith(f"{holder}."):
        near = setting_named(getattr(error, "parent_node", None), override)
        return path, f"'{override}' is not a setting: {path} holds a single value{near}"
    one_of = re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", text)
    if one_of:
        value, options = one_of.groups()
        known = options.split(", ")
        near = did_you_mean(new_value(value, known), known)
        return path, f"{path}={value!r}: must be one of {options}{near if 'mean' in near else ''}"
    if "Cannot merge DictConfig with ListConfig" in text:
        return path, f"{path}: {_LIST if getattr(error, 'object_type', None) is list else _DICT}"
    for pattern, problem in _KINDS:
        match = re.search(pattern, text)
        if match:
            return path, f"{path}={match[1]!r}: {problem}" if match[1] else f"{path}: {problem}"
    return path, f"{path}: {text}" if path else text


def setting_named(node: Any, path: str) -> str:
    """Return `; did you mean 'X'?` for a setting elsewhere in a stage with the last name of a path.

    `node` is any part of the configuration. Empty if the stage has no such setting.
    """
    section, name = path.partition(".")[0], path.rpartition(".")[2]
    stage = OmegaConf.select(node._get_root(), section) if isinstance(node, DictConfig) else None
    if not isinstance(stage, DictConfig):
        return ""
    settings: Any = OmegaConf.to_container(stage)
    by_name = {full.rpartition(".")[2]: full for full in reversed(flat(settings))}
    found = by_name.get(name) or by_name.get(new_setting("*", name, list(by_name)) or "")
    full = f"{section}.{found}"
    beside = full.rpartition(".")[0] == path.rpartition(".")[0]
    return f"; did you mean '{full}'?" if found and not beside else ""
