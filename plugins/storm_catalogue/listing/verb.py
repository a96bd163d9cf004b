"""The verb `list`: recipes, presets, components, sweeps, plugins and verbs by name."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

from storm_catalogue.option import (
    Option,
    components,
    describe_component,
    presets,
    recipes,
    sections,
    sweeps,
)
from storm_catalogue.words import read_words
from storm_exp import Answer, InputError, align, did_you_mean, load_plugins

Listed = tuple[list[dict[str, Any]], list[str]]
"""Items and lines."""


def list_(arguments: list[str]) -> int:
    """List recipes, presets, components, sweeps, sections or plugins.

    usage: storm-exp list [recipes | presets | components | sweeps | sections | plugins] [MENU …]
                          [-cd DIR] [--json]

    Presets and components are listed by menu, those of the given menus alone; a component with
    what it takes and makes, and with the packages that it lacks. -cd DIR also looks into a folder
    of your own. `storm-exp show NAME` describes one of them in full.

    for example:
        storm-exp list
        storm-exp list recipes
        storm-exp list components merger
        storm-exp list presets finetuner --json
    """
    words = read_words("list", arguments)
    kind, *menus = words.plain or [""]
    if not kind:
        return _overview(words.own).print(arguments)
    if kind not in KINDS:
        raise InputError(f"list {kind}: no such kind of thing{did_you_mean(kind, KINDS)}")
    items, lines = KINDS[kind](menus, words.own)
    notes = load_plugins().failures().strip().splitlines() if kind != "plugins" else []
    return Answer("list", items, lines, [note.strip() for note in notes]).print(arguments)


def _overview(own: list[str]) -> Answer:
    """Return how many there are of each kind."""
    counts = {kind: len(find([], own)[0]) for kind, find in KINDS.items()}
    items = [
        {"kind": kind, "count": count, "list": f"storm-exp list {kind}"}
        for kind, count in counts.items()
    ]
    rows = [[str(count), kind, f"storm-exp list {kind}"] for kind, count in counts.items()]
    lines = [*align(rows), "", "storm-exp show NAME describes any of them"]
    return Answer("list", items, lines, load_plugins().failures().strip().splitlines())


def _list_recipes(menus: list[str], own: list[str]) -> Listed:
    return _named(recipes(own), menus)


def _list_sweeps(menus: list[str], own: list[str]) -> Listed:
    return _named(sweeps(own), menus)


def _list_sections(menus: list[str], own: list[str]) -> Listed:
    return _named(sections(), menus)


def _named(options: list[Option], menus: list[str]) -> Listed:
    """Return options of a single group."""
    if menus:
        raise InputError(f"{menus[0]}: presets and components are listed by menu, not these")
    rows = [[option.words, option.summary] for option in options]
    return [option.to_json() for option in options], _fitted(rows)


def _list_presets(menus: list[str], own: list[str]) -> Listed:
    chosen = _of_menus(presets(own), menus)
    items = [option.to_json() for options in chosen.values() for option in options]
    lines = []
    for menu, options in chosen.items():
        lines.append(menu)
        lines += [f"  {line}" for line in _fitted([[o.name, o.summary] for o in options])]
    return items, lines


def _list_components(menus: list[str], own: list[str]) -> Listed:
    plugins = load_plugins()
    chosen = _of_menus(components(), menus)
    items, lines = [], []
    for menu, options in chosen.items():
        lines.append(menu)
        rows = []
        for option in options:
            component = plugins.component(option.name)
            lacks = plugins.lacks(component)
            note = f"[unavailable: {lacks}]" if lacks else option.summary
            rows.append([str(component), note])
            if menu == option.groups[0] or menus:
                items.append(
                    describe_component(component).to_json()
                    | {"takes": [str(port) for port in component.ports.values()]}
                    | {"makes": component.output.__name__, "lacks": lacks}
                    | {"plugin": plugins.owner(component).name}
                )
        lines += [f"  {line}" for line in _fitted(rows)]
    return items, lines


def _of_menus(options: list[Option], menus: list[str]) -> dict[str, list[Option]]:
    """Return options by menu, those of the given menus alone; raises InputError for others."""
    by_menu: dict[str, list[Option]] = {}
    for option in options:
        for menu in option.groups:
            by_menu.setdefault(menu, []).append(option)
    for menu in menus:
        if menu not in by_menu:
            raise InputError(
                f"{menu}: nothing is listed under this menu{did_you_mean(menu, by_menu)}"
            )
    return {menu: by_menu[menu] for menu in menus or sorted(by_menu)}


def _list_plugins(menus: list[str], own: list[str]) -> Listed:
    items, lines = [], []
    for plugin in load_plugins().plugins:
        state = f"broken: {plugin.error}" if plugin.error else ", ".join(plugin.components)
        lines.append(f"{plugin.name} ({plugin.distribution}): {state}")
        verbs = sorted({*plugin.verbs, *plugin.actions})
        items.append(
            {"kind": "plugin", "name": plugin.name, "distribution": plugin.distribution}
            | {"error": plugin.error, "components": plugin.components, "verbs": verbs}
            | {"presets": str(plugin.config_folder or "")}
        )
    return items, lines


def _fitted(rows: list[list[str]]) -> list[str]:
    """Return aligned lines, cut to the width of a terminal where they are shown in one."""
    lines = align(rows) if rows else []
    if not sys.stdout.isatty():
        return lines
    width = shutil.get_terminal_size().columns - 2
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]


KINDS: dict[str, Callable[[list[str], list[str]], Listed]] = {
    "recipes": _list_recipes,
    "presets": _list_presets,
    "components": _list_components,
    "sweeps": _list_sweeps,
    "sections": _list_sections,
    "plugins": _list_plugins,
}
