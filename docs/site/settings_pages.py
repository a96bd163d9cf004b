"""Pages of settings: a page for each menu with its components, and one for root sections."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from storm_catalogue.option import Option, components, preset_lines, sections
from storm_catalogue.showing.description import describe_component, describe_section

LIMITS = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}
ABOUT = """\
# Settings

Every component with its settings, as the components declare them; `storm-exp show NAME` prints
the same. A recipe has a stage in most menus: where `slerp` is chosen for the stage `merger`,
`slerp.t` below is `merger.t=0.3` on the command line. Settings of the
[root sections](settings/sections.md) hold for all stages: `runtime.devices=8`. What is not part
of the key can be changed, and what was made is still found.

| menu | components |
|---|---|"""
Pages = dict[str, str]
"""Markdown by name, without ending."""


def settings_pages() -> Pages:
    """Return the pages of all menus, that of root sections, and the one that lists them."""
    by_menu: dict[str, list[Option]] = {}
    for option in components():
        for menu in option.groups:
            by_menu.setdefault(menu, []).append(option)
    presets = preset_lines([])
    pages = {f"settings/{menu}": _menu(menu, by_menu[menu], presets) for menu in sorted(by_menu)}
    pages["settings/sections"] = _sections()
    return pages | {"settings": _contents(by_menu)}


def _contents(by_menu: dict[str, list[Option]]) -> str:
    rows = [
        f"| [{menu}](settings/{menu}.md) | {', '.join(f'`{each.name}`' for each in options)} |"
        for menu, options in sorted(by_menu.items())
    ]
    pages = ["settings/sections", *(f"settings/{menu}" for menu in sorted(by_menu))]
    return "\n".join([ABOUT, *rows, "", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def _menu(menu: str, options: list[Option], presets: dict[Option, list[str]]) -> str:
    """Return a page of the components of a menu, and its presets."""
    lines = [f"# {menu}", ""]
    for option in sorted(options, key=lambda option: option.groups[0] != menu):
        first = option.groups[0]
        if menu == first:
            lines += [f"## {option.name}", "", *_component(option)]
        else:
            link = f"[{first}]({first}.md#{option.name})"
            lines += [f"## {option.name}", "", f"{option.summary}. Its settings: {link}.", ""]
    own = {each: line for each, line in presets.items() if each.groups[0] == menu}
    if own:
        lines += ["## Presets", "", "| | starts from | |", "|---|---|---|"]
        lines += [
            f"| `{preset.words}` | `{line[1]}` | {preset.summary} |" for preset, line in own.items()
        ]
    return "\n".join([*lines, ""])


def _component(option: Option) -> Iterator[str]:
    item, _ = describe_component(option, [])
    yield from [item["description"], ""]
    for port in item["takes"]:
        many = "one or several" if port["many"] else "one"
        optional = ", optional" if port["optional"] else ""
        yield f"- takes `{port['port']}`: `{port['artifact']}` ({many}{optional})"
    yield f"- makes `{item['makes']}`"
    if item["packages"]:
        yield f"- needs {', '.join(f'`{name}`' for name in item['packages'])}"
    yield f"- of the plugin `{item['plugin']}`, version {item['version']}"
    yield ""
    yield from _settings(option.name, item["settings"])


def _sections() -> str:
    lines = ["# Root sections", ""]
    for option in sections():
        item, _ = describe_section(option, [])
        lines += [f"## {option.name}", "", item["description"], ""]
        lines += _settings(option.name, item["settings"])
    return "\n".join(lines)


def _settings(owner: str, settings: list[dict[str, Any]]) -> Iterator[str]:
    for each in settings:
        limits = [f"{LIMITS[name]} {limit}" for name, limit in each["bounds"].items()]
        choices = [f"`{_json(choice)}`" for choice in each["choices"]]
        notes = [
            f"`{each['type']}`",
            each["unit"],
            " and ".join(limits),
            f"one of {', '.join(choices)}" if choices else "",
            _default(each["default"]),
            "" if each["part_of_key"] else "not part of the key",
        ]
        yield from [f"```{{confval}} {owner}.{each['name']}", ""]
        yield from ["; ".join(filter(None, notes)), "", each["description"], "```", ""]


def _default(value: Any) -> str:
    if value == "???":
        return "to be given"
    reference = re.fullmatch(r"\$\{(.+)\}", value) if isinstance(value, str) else None
    return f"default: that of `{reference[1]}`" if reference else f"default `{_json(value)}`"


def _json(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
