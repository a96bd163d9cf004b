"""What a shell offers: verbs, and names behind those that take them; settings are Hydra's."""

from __future__ import annotations

import os
import re

from storm_catalogue.listing.verb import KINDS
from storm_catalogue.option import components, everything, recipes, sections, sweeps
from storm_exp import load_plugins

_ENGINES = ("plan",)
"""The verbs that no plugin brings."""
_STARTS = ("recipe=", "sweep=")


def complete(line: str) -> list[str] | None:
    """Return what may stand at the end of a line; None for settings, which Hydra completes.

    Hydra reads the line in `COMP_LINE`, which is then left there without its verb.
    """
    os.environ["COMP_LINE"] = _without_verb(line)
    plugins = load_plugins()
    words = line.split()[1:] + [""] * line[-1:].isspace()
    verbs = {*_ENGINES, *plugins.verbs(_ENGINES)[0]}
    if not line or not words:
        return None
    first, *rest = words
    if not rest:
        offered = [*sorted(verbs), *_STARTS]
        return offered if any(each.startswith(first) for each in offered) else None
    composed = {"plan", *(name for plugin in plugins.plugins for name in plugin.actions)}
    settings = any("=" in word or word.startswith("-") for word in rest)
    if first not in verbs or first in composed or (first == "show" and settings):
        return None
    known = {verb: ask for each in plugins.hook.storm_completions() for verb, ask in each.items()}
    offered = known[first](rest[:-1]) if first in known else []
    return sorted(set(offered)) or [""]  # and none of Hydra's


def _without_verb(line: str) -> str:
    """Return a line without its verb and flags, of which Hydra knows nothing."""
    plain = re.sub(r"\s--(?:why|online|json|settings)(?=\s)", "", line)
    return re.sub(r"^(\S+\s+)[a-z]+\s+", r"\1", plain)


def kinds_and_menus(words: list[str]) -> list[str]:
    """Return what may stand behind `list` and words: a kind of things, then menus."""
    if not words:
        return list(KINDS)
    return list(load_plugins().menus()) if words[0] in ("presets", "components") else []


def names(words: list[str]) -> list[str]:
    """Return what may stand behind `show`: all names, and how recipes and sweeps are chosen."""
    chosen = [option.words for option in (*recipes([]), *sweeps([]))]
    return [*(option.name for option in everything([])), *chosen]


def names_with_schemas(words: list[str]) -> list[str]:
    """Return what may stand behind `schema`: components, sections and recipes."""
    chosen = [option.words for option in recipes([])]
    return ["all", *(option.name for option in (*components(), *sections())), *chosen]
