"""Checks of a command line before Hydra composes anything."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Quote, QuotedString
from hydra.errors import HydraException

from storm_exp._contract.errors import ComposeError, did_you_mean
from storm_exp._contract.plugins import Plugins

LONGEST, DEEPEST = 20_000, 40
"""Characters of a word and nesting of brackets that Hydra's parser can read within seconds."""
_TAKE_A_WORD = (
    *("-cd", "--config-dir", "-c", "--cfg", "-p", "--package", "-cn", "--config-name"),
    *("-cp", "--config-path", "--experimental-rerun"),
)
_RULED_OUT = {
    "config_name": "there is one main configuration; a recipe of your own is a file "
    "DIR/recipe/NAME.yaml, and run by -cd DIR recipe=NAME",
    "config_path": "presets and recipes of your own are added by -cd DIR",
    "hydra_help": "what storm-exp takes of Hydra is -m, -cd DIR, --cfg job and --info defaults",
    "experimental_rerun": "Hydra's records of jobs are not kept; the same command again makes "
    "what the store lacks",
}
"""Flags of Hydra that do not work as a user would expect, with what to use instead."""
_RULED_OUT_SETTINGS = {
    "hydra.run.dir": "runs are kept below outputs: write outputs=DIR",
    "hydra.sweep.dir": "runs are kept below outputs: write outputs=DIR",
    "hydra.sweep.subdir": "runs are kept below outputs: write outputs=DIR",
    "hydra.job.chdir": "a run stays in the folder where it was started; write outputs=DIR",
}
_FLAGS = (
    *("-m", "-cd", "--multirun", "--config-dir", "--cfg", "--info", "--package", "--resolve"),
    *("--help", "--version", "--why", "--online"),
)
_NAMES = ("recipe", "sweep", "runtime", "hydra")


def arrange(words: list[str]) -> list[str]:
    """Return the words with overrides before flags, as Hydra's parser requires."""
    overrides, flags = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        plain = bool(rest) and not rest[0].startswith("-") and "=" not in rest[0]
        if rest and (word in _TAKE_A_WORD or (word in ("-i", "--info") and plain)):
            flags.append(rest.pop(0))
    return [*overrides, *flags]


def check(words: list[str], plugins: Plugins) -> argparse.Namespace:
    """Return a command line as Hydra parses it: its flags, and the list `overrides`.

    Raises ComposeError where Hydra's own message would not help the user of a recipe.
    """
    parser: Any = get_args_parser()
    parser.error = _no_flag
    flags: argparse.Namespace = parser.parse_args(words)
    for name, instead in _RULED_OUT.items():
        if getattr(flags, name):
            word = "" if getattr(flags, name) is True else f" {getattr(flags, name)}"
            raise ComposeError(f"--{name.replace('_', '-')}{word}: {instead}")
    if sum(map(bool, (flags.run, flags.multirun, flags.cfg, flags.info))) > 1:
        raise ComposeError("only one of --run, -m, --cfg and --info can be given")
    if flags.resolve and not flags.cfg:
        raise ComposeError("--resolve goes with --cfg job, which shows the configuration")
    for word in flags.overrides:
        _check_override(word, plugins)
    return flags


def _no_flag(message: str) -> NoReturn:
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown is None:
        raise ComposeError(f"invalid flag: {message}")
    if unknown[1] in ("--why", "--online"):
        raise ComposeError(f"{unknown[1]} goes with the verb plan: storm-exp plan {unknown[1]} …")
    raise ComposeError(f"no flag '{unknown[1]}'{did_you_mean(unknown[1], _FLAGS)}")


def _check_override(word: str, plugins: Plugins) -> None:
    key, equals, value = word.partition("=")
    name, _, package = key.lstrip("+~").partition("@")
    if len(word) > LONGEST:
        raise ComposeError(
            f"{key}={value[:20]}…: {len(word)} characters are too many for a command line; write "
            "it in a preset or recipe of your own (-cd DIR), or as range(from,to,step)"
        )
    if _depth(value) > DEEPEST:
        raise ComposeError(f"{key}={value[:20]}…: brackets are nested more than {DEEPEST} deep")
    if not name:
        raise ComposeError(f"cannot read the override `{word}`: it names nothing to set")
    if "_target_" in name.split("."):
        raise ComposeError(f"{word}: import paths are not settings; components come from plugins")
    if name in _RULED_OUT_SETTINGS:
        raise ComposeError(f"{word}: {_RULED_OUT_SETTINGS[name]}")
    if equals and (name in {*plugins.menus(), *_NAMES} or name.startswith("hydra/")):
        for choice in _choices(word):
            _check_choice(word, name, package or name, choice, plugins)


def _depth(value: str) -> int:
    depth = deepest = 0
    for character in value:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    return deepest


def _choices(word: str) -> Iterable[Any]:
    """Return the options that an override chooses from a menu; empty if it cannot be parsed."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return []
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return [getattr(each, "text", each) for each in value.list]
    return [value] if not override.is_sweep_override() else []


def _check_choice(word: str, menu: str, stage: str, choice: Any, plugins: Plugins) -> None:
    menu = "hydra" if menu.startswith("hydra/") else menu
    several = isinstance(choice, list) and menu not in _NAMES
    names = choice if several else [choice]
    if isinstance(choice, dict) or all(isinstance(n, str) and "${" not in n for n in names):
        return
    if menu == "hydra":
        instead = "Hydra's settings are written hydra.NAME=VALUE, its options hydra/MENU=NAME"
    elif menu == "runtime":
        instead = "set its parts, as in runtime.threads=4"
    elif menu in _NAMES:
        instead = f"give the name of a {menu}, as in {menu}=NAME"
    elif choice is None:
        instead = f"to leave the stage out write graph.{stage}=null"
    else:
        options = [component.name for component in plugins.menus()[menu]]
        instead = f"its options are names{did_you_mean(str(choice), options)}"
    raise ComposeError(f"{word}: '{menu}' is a menu, from which one option is chosen; {instead}")


def quoted(word: str) -> str:
    """Return an override for a shell, with its value in quotes; empty if that does not help."""
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[+]{0,2}[\w./@:-]+", key) or not value.isprintable():
        return ""
    corrected = f"{key}={QuotedString(value, Quote.double).with_quotes()}"
    try:
        read = OverridesParser.create().parse_override(corrected)
    except HydraException:
        return ""
    return shlex.quote(corrected) if read.value() == value else ""
