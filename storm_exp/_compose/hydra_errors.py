"""Messages for the user about errors of Hydra and OmegaConf."""

from __future__ import annotations

import re
import sys
import typing
from pathlib import Path
from typing import Any

from hydra import errors
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from storm_exp._compose.command_line import quoted
from storm_exp._compose.presets import new_preset, new_setting, preset_folders
from storm_exp._compose.provenance import NO_PACKAGE, groups_beside_menus
from storm_exp._compose.type_errors import explain_type_error, setting_named
from storm_exp._contract.component import Component
from storm_exp._contract.errors import StormError, did_you_mean
from storm_exp._contract.extras import install_command
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.typed_json import type_hints

_LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""Launchers of sweeps that an extra of this distribution installs."""


def explain(error: BaseException) -> str | None:
    """Return a message for the user, or None for an unexpected error, which needs a traceback."""
    message = _message(error)
    if message is not None and message.startswith("_dummy_: "):  # Hydra's name for any defaults
        files = _including(error) or _including(error.__cause__ or error)
        return f"{files[-1] if files else ''}: defaults: {message.removeprefix('_dummy_: ')}"
    return message


def _message(error: BaseException) -> str | None:
    if isinstance(error, errors.OverrideParseException):
        return _unreadable(str(error.override), _first_line(error))
    if isinstance(error, errors.MissingConfigException):
        return _missing_option(error)
    if isinstance(error, errors.ConfigCompositionException):
        return _composition(error)
    if isinstance(error, OmegaConfBaseException):
        path, problem = explain_type_error(error)
        return _unknown_key(error, "") or problem + _interpolations(path, problem)
    if isinstance(error, YAMLError):
        return f"not YAML: {' '.join(str(error).split())}"
    if isinstance(error, errors.InstantiationException) and error.__cause__ is not None:
        return _message(error.__cause__) or str(error)
    if isinstance(error, errors.HydraException | StormError):
        return str(error)
    if isinstance(error, RecursionError):
        return _circle(error)
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    place = re.fullmatch(r"invalid literal for int\(\) with base 10: '(.+)'", str(error))
    word = next((word for word in sys.argv if place and f".{place[1]}=" in word), None)
    return f"the override `{word}`: '{place[1]}' is no place in a list" if place and word else None


def _unreadable(override: str, problem: str) -> str:
    if override in load_plugins().verbs(["plan"])[0] or override == "plan":
        problem = f"a verb comes first, and there is one alone: storm-exp {override} …"
    elif override.isidentifier():
        problem = f"an override is written name=value{recipe_of_this_name(override)}"
    name, equals, value = override.partition("=")
    if equals and (name, value) != (name.strip(), value.strip()):
        problem = f"there must be no space around the '=': write {name.strip()}={value.strip()}"
    elif (corrected := quoted(override)) and value[:1] in tuple("[{('\""):
        problem += f"; texts in it need quotes where they have a =; for a text write {corrected}"
    elif corrected and value.startswith("~/"):
        problem = f"no shell expands ~ here; write {quoted(f'{name}={Path(value).expanduser()}')}"
    elif corrected:
        odd = dict.fromkeys(re.sub(r"[\w./:\\-]", "", value, flags=re.ASCII))
        reason = f"because of {', '.join(map(repr, odd))} " if odd else ""
        problem = f"{reason}put the value in quotes of its own, as in {corrected}"
    return f"cannot read the override `{override}`: {problem}"


def recipe_of_this_name(word: str) -> str:
    """Return `; did you mean recipe=X?` if a recipe has this name, else nothing."""
    there = any((folder / "recipe" / f"{word}.yaml").is_file() for folder in preset_folders())
    return f"; did you mean recipe={word}?" if there else ""


def _in_folders(menu: str) -> list[str]:
    """Return the options in subfolders of a menu, as in an override."""
    return [
        str(file.relative_to(folder / menu).with_suffix(""))
        for folder in preset_folders()
        for file in (folder / menu).glob("*/**/*.yaml")
    ]


def _interpolations(path: str, problem: str) -> str:
    """Return the overrides with interpolations, if an error may be about one of them."""
    if path and "nterpolation" not in problem:
        return ""
    overrides = [f"`{word}`" for word in sys.argv[1:] if "${" in word]
    return f" (from {' or '.join(overrides)})" if overrides else ""


def _circle(error: RecursionError) -> str | None:
    """Return a message about files that include each other; None if none do."""
    paths = _including(error)
    circle = [path for path in dict.fromkeys(paths) if paths.count(path) > 2]
    return f"{' and '.join(circle)}: in `defaults` it includes itself" if circle else None


def _including(error: BaseException) -> list[str]:
    """Return the files whose defaults Hydra was processing, from the frames of its stack."""
    paths, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "_create_defaults_tree_impl":
            paths.append(str(trace.tb_frame.f_locals.get("path")))
        trace = trace.tb_next
    return paths


def _missing_option(error: errors.MissingConfigException) -> str:
    file = str(error.missing_cfg_file or "")
    group, _, option = file.rpartition("/")
    for menu in [*load_plugins().menus(), *groups_beside_menus()]:
        if file.startswith(f"{menu}/"):
            group, option = menu, file.removeprefix(f"{menu}/")
    new = new_preset(group, option)
    below = _in_folders(group)
    options = [*(error.options or ()), *below]
    near = f"; did you mean '{new}'?" if new else did_you_mean(option, options)
    if not error.options:  # it is included by a file, and in no menu
        return f"{_first_line(error).rstrip('.')}{near}"
    folders = {"", *(preset.rpartition("/")[0] for preset in below)}
    meant = [
        f"{group}={component.name} {group}.{setting.format(option)}"
        for component in load_plugins().menus().get(group, [])
        for setting, pattern in getattr(component.cls, "misplaced", {}).items()
        if re.fullmatch(pattern, option)
    ]
    if meant and not new and ("." in option or option.rpartition("/")[0] not in folders):
        return f"{group}={option}: no such option; for a model or data of your own write " + (
            " or ".join(meant)
        )
    if group == "hydra/launcher" and option in _LAUNCHER_EXTRAS:
        near = f"; it comes with {install_command(_LAUNCHER_EXTRAS[option])}"
    failures = load_plugins().failures()
    return f"{group}={option}: no such option{near}{_chosen_by(group, option)}{failures}"


def _chosen_by(group: str, option: str) -> str:
    """Return where an option was chosen: an override, or the defaults of a file."""
    for word in sys.argv[1:]:
        name, _, value = word.lstrip("+").partition("=")
        if name.partition("@")[0] == group and option in re.split(r"[,\[\]'\"]", value):
            return f" (from the override `{word}`)"
    return " (from the `defaults` of a recipe or preset)"


def _composition(error: errors.ConfigCompositionException) -> str:
    text = str(error)
    cause = error.__cause__ or error.__context__
    override = re.search(r"\+?Error merging override (\S+)", text)
    found = re.search(r"Could not override '([^']+)'", text)
    key = found[1] if found else ""
    file = re.match(r"In '([^']+)'", text)
    if "You must specify" in text:
        return _no_option(text)
    if "Ambiguous value" in text:
        word = text.removeprefix("Ambiguous value for argument '").split("'\n")[0]
        name, _, value = word.partition("=")
        if name.partition("@")[0] in [*load_plugins().menus(), *groups_beside_menus()]:
            return f"{word} names several options: for a sweep add -m"
        text = quoted(word)
        return f"{word} gives several values: for a sweep add -m; a list is {name}=[{value}]" + (
            f"; a text with commas is {text}" if text else ""
        )
    if gone := re.search(r"Could not delete from config. '(.*)' does not exist", text):
        return f"'{gone[1]}' is not in this recipe"
    if there := re.search(r"Could not append .* already at '(.*)'", text):
        return f"'{there[1]}' is in this recipe: to change it, leave out the +: {there[1]}=…"
    if isinstance(cause, OmegaConfBaseException):
        if isinstance(cause.__cause__, OmegaConfBaseException):
            cause = cause.__cause__
        written = override[1] if override else _written(key)
        place = f"the override `{written}`" if written else file[1] if file else ""
        key_at_root = not written and "." not in str(getattr(cause, "full_key", "."))
        root = _component_at(cause) if key_at_root else None
        if root:  # its settings are those of the whole configuration
            chosen = [word for word in sys.argv[1:] if word.partition("=")[0] in root.menus]
            return (
                f"{' '.join(chosen) or f'{root.menus[0]}=…'}: the first line of its file must not "
                f"be `# @package _global_`, by which '{root.name}' takes the place of the recipe"
            )
        path = written.partition("=")[0].lstrip("+~")
        problem = _unknown_key(cause, path) or explain_type_error(cause, path)[1]
        return f"{problem} (from {place})" if place else problem
    offered = re.search(r"Did you mean to override (?:one of )?([^?]+)\?", text)
    if key and offered:
        return f"'{key}' is not in this recipe{did_you_mean(key, offered[1].split(', '))}"
    if key and "No match in the defaults list" in text:
        return f"'{key}' is neither a menu nor a setting of this recipe" + did_you_mean(
            key.split("@")[-1], [*load_plugins().menus(), *groups_beside_menus(), "hydra"]
        )
    return text


def _written(key: str) -> str:
    """Return the override of a key as it was written."""
    return next((word for word in sys.argv if word.lstrip("+~").startswith(f"{key}=")), key)


def _unknown_key(error: OmegaConfBaseException, path: str) -> str:
    """Return a message if the error is about a key that its parent does not have, else nothing."""
    if not re.search(r"Key '.*' (is )?not in|not in struct", str(error)):
        return ""
    parent: Any = getattr(error, "parent_node", None)
    known = [str(name) for name in parent] if hasattr(parent, "__iter__") else []
    name = str(getattr(error, "key", "") or path.rpartition(".")[2])
    full = str(getattr(error, "full_key", "") or path)
    addition = f" (to add it, write `+{full}=…`)"
    if full.startswith("graph."):
        return f"'{full}' is not in the graph{did_you_mean(name, known)}{addition}"
    section, *within = full.split(".")
    if section in (sections := load_plugins().sections()) and len(within) > 1:
        is_dict = typing.get_origin(type_hints(sections[section]).get(within[0])) is dict
        single = "" if known else f": {section}.{within[0]} holds a single value"
        near = f"{did_you_mean(name, known)}{addition}" if is_dict else single
        return f"'{full}' is not a setting{near}"
    owner = _component_at(error)
    new = new_setting(owner.name if owner else section, name, known)
    near = f"; did you mean '{new}'?" if new else did_you_mean(name, known)
    near = setting_named(parent, path) or near
    return f"'{full}' is not a setting{NO_PACKAGE if 'recipe' in known else near}"


def _component_at(error: OmegaConfBaseException) -> Component | None:
    """Return the component whose settings lack the key that an error is about, if it is one."""
    parent = getattr(error, "parent_node", None)
    cls = OmegaConf.get_type(parent) if isinstance(parent, DictConfig) else None
    return next((c for c in load_plugins().components.values() if c.cls is cls), None)


def _no_option(text: str) -> str:
    """Return a message about a menu without a choice, and the override that may be meant."""
    menu = text.split("'")[1]
    options = ", ".join(text.partition("Available options:")[2].split())
    for word in sys.argv[1:]:
        name = word.partition("=")[0]
        if "=" in word and did_you_mean(name, [menu]).startswith("; did"):
            return f"'{name}' is not a setting; did you mean '{menu}'? (from the override `{word}`)"
    sweep = next((f"; {word} names none" for word in sys.argv if word.startswith("sweep=")), "")
    return f"no {menu} is chosen{sweep}: give one with {menu}=NAME ({options})"


def _first_line(error: BaseException) -> str:
    return next(filter(str.strip, str(error).splitlines()), type(error).__name__)
