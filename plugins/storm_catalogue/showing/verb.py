"""The verb `show`: describes recipes, presets, components, sweeps and sections."""

from __future__ import annotations

from collections.abc import Callable

from storm_catalogue.option import Option, everything
from storm_catalogue.showing.description import (
    Description,
    describe_component,
    describe_preset,
    describe_recipe,
    describe_section,
    describe_sweep,
)
from storm_catalogue.words import Words, read_words
from storm_exp import Answer, InputError, did_you_mean, load_plugins

DESCRIBE: dict[str, Callable[..., Description]] = {
    "recipe": describe_recipe,
    "component": describe_component,
    "preset": describe_preset,
    "sweep": describe_sweep,
    "section": describe_section,
}
SETTINGS = "--settings"


def show(arguments: list[str]) -> int:
    """Describe a recipe, preset, component, sweep or section.

    usage: storm-exp show NAME … [-cd DIR] [--json]
           storm-exp show recipe=NAME [setting=value …] [--settings] [-cd DIR] [--json]

    A recipe is drawn as a graph; --settings lists every setting with the file and line that its
    value comes from. A preset is shown with the origin of every value, a component with bounds,
    units and choices of its settings, what it takes and what it makes. If several things have a
    name, all are shown; `menu=NAME` means one of them.

    for example:
        storm-exp show slerp
        storm-exp show merger=slerp_by_layer
        storm-exp show recipe=storm
        storm-exp show recipe=storm merger.t=0.3 --settings
    """
    words = read_words("show", arguments, (SETTINGS,))
    if not words.plain:
        raise InputError("show NAME: give a name (storm-exp list names what there is)")
    shown = _recipe(words) if words.plain[0].startswith("recipe=") else _named(words)
    lines = "\n\n".join("\n".join(lines) for _, lines in shown).splitlines()
    return Answer("show", [item for item, _ in shown], lines).print(arguments)


def _recipe(words: Words) -> list[Description]:
    """Describe a recipe with the settings that follow it."""
    first, *more = words.plain
    (option,) = find(first, everything(words.own))
    return [describe_recipe(option, words.own, *more, settings=SETTINGS in words.flags)]


def _named(words: Words) -> list[Description]:
    """Describe everything that has one of the names."""
    known = everything(words.own)
    shown = []
    for word in words.plain:
        options = find(word, known)
        for option in options:
            settings = (
                {"settings": True} if option.kind == "recipe" and SETTINGS in words.flags else {}
            )
            item, lines = DESCRIBE[option.kind](option, words.own, **settings)
            others = [other.words for other in options if other is not option]
            if others:
                lines.append(f"  of the same name: {', '.join(others)}")
            shown.append((item, lines))
    return shown


def find(word: str, known: list[Option]) -> list[Option]:
    """Return the options that a word means; raises InputError, with the nearest name, for none.

    A word is a name, a menu with a name (`merger=solar`, `merger/solar`), or the last part of the
    name of a preset in a folder.
    """
    exact = [each for each in known if word in (each.name, *_addresses(each))]
    found = exact or [each for each in known if each.name.rpartition("/")[2] == word]
    if found:
        return found
    menus = load_plugins().menus()
    if word in menus:
        raise InputError(
            f"{word} is a menu: storm-exp list components {word}, storm-exp list presets {word}"
        )
    group, equals, name = word.partition("=")
    names = [each.name for each in known if group in each.groups or not equals]
    near = did_you_mean(name or word, names) if names else did_you_mean(group, menus)
    raise InputError(f"nothing is named '{word}'{near}{load_plugins().failures()}")


def _addresses(option: Option) -> list[str]:
    """Return how an option is named with each of its menus."""
    return [f"{group}{sign}{option.name}" for group in option.groups for sign in "=/"]
