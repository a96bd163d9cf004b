"""Descriptions: an item for programs and lines for people, for each kind of option."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from storm_catalogue.composition import Composed, Value, compose
from storm_catalogue.option import Option, comment, preset_lines, section_classes
from storm_catalogue.setting import Setting, plain, settings_of
from storm_catalogue.showing.graph import draw_stages, read_stages
from storm_exp import Component, InputError, align, load_plugins

Description = tuple[dict[str, Any], list[str]]
"""An item and lines."""
WIDEST = 60
"""Longest value, in characters, behind which the origins of others are aligned."""


def describe_component(option: Option, own: list[str]) -> Description:
    """Return ports, artifact, packages, presets and settings of a component."""
    plugins = load_plugins()
    component = plugins.component(option.name)
    lacks, doc = plugins.lacks(component), inspect.getdoc(component.cls) or ""
    based = [
        each.words
        for each, line in preset_lines(own).items()
        if line[-1].partition("/")[2] == option.name
    ]
    packages = list(component.requires or ())
    lines = [
        str(component),
        f"  menus: {', '.join(component.menus)}; version {component.version}",
        f"  {plugins.owner(component).name}, {option.place}",
        textwrap.indent(doc, "  "),
        "",
        *_ports(component),
        f"  makes: {component.output.__name__}: {_artifact(component.output)}",
    ]
    if packages:
        state = f"unavailable: {lacks}" if lacks else "installed"
        lines.append(f"  needs: {', '.join(packages)} ({state})")
    if based:
        lines.append(f"  presets: {', '.join(based)}")
    settings = settings_of(component.cls)
    item = option.to_json() | {
        "description": doc,
        "version": component.version,
        "plugin": plugins.owner(component).name,
        "takes": [_port_json(port) for port in component.ports.values()],
        "makes": component.output.__name__,
        "packages": packages,
        "lacks": lacks,
        "presets": based,
        "settings": [_setting_json(each) for each in settings],
    }
    return item, [*lines, *_setting_lines(settings)]


def describe_section(option: Option, own: list[str]) -> Description:
    """Return the settings of a root section."""
    cls = section_classes()[option.name]
    doc, settings = inspect.getdoc(cls) or "", settings_of(cls)
    item = option.to_json() | {
        "description": doc,
        "settings": [_setting_json(each) for each in settings],
    }
    lines = [f"{option.name}, a section: {option.words}", f"  {option.place}"]
    return item, [*lines, textwrap.indent(doc, "  "), *_setting_lines(settings)]


def describe_preset(option: Option, own: list[str]) -> Description:
    """Return the values of a preset, each with the line that it comes from."""
    group = option.groups[0]
    section = section_classes().get(group)
    composed = compose([f"{'' if section else '+'}{option.words}", "~recipe"], own)
    component = composed.stages().get(group)
    cls = section or (component.cls if component else None)
    if cls is None:
        raise InputError(
            f"{option.place}: names no component: its `defaults` must begin with one, as in "
            "`defaults: [slerp, _self_]`"
        )
    values = composed.values(group, cls)
    doc = comment(option.place.file) if option.place else ""
    what = f"component {component.name}" if component else f"section {group}"
    item = option.to_json() | {
        "description": doc,
        "component": component.name if component else "",
        "settings": [value.to_json() for value in values],
    }
    lines = [f"{option.words}, a preset of the {what}", f"  {option.place}"]
    lines += [*_indented(doc), "", *value_lines(values, f"{group}.")]
    meant = component.name if component else group
    return item, [*lines, f"  what each means: storm-exp show {meant}"]


def describe_recipe(
    option: Option, own: list[str], *more: str, settings: bool = False
) -> Description:
    """Return the graph of a recipe with overrides; with `settings`, those of all stages too."""
    composed = compose([option.words, *more], own)
    stages = read_stages(composed)
    doc, missing = comment(option.place.file) if option.place else "", composed.missing()
    targets = [str(each) for each in composed.config.targets]
    item = option.to_json() | {
        "description": doc,
        "stages": [stage.to_json() for stage in stages],
        "targets": targets,
        "missing": missing,
        "settings": [value.to_json() for value in _all_values(composed)],
    }
    lines = [" ".join([f"{option.words}, a recipe", *more]), f"  {option.place}"]
    lines += [*_indented(doc), "", *_indented("\n".join(draw_stages(stages)))]
    if targets:
        lines.append(f"  targets: {', '.join(targets)}")
    if missing:
        lines.append(f"  to be given: {' '.join(f'{path}=…' for path in missing)}")
    if settings:
        for name, cls in _parts(composed).items():
            lines += ["", f"  {name}  {composed.choices.get(name, '')}".rstrip()]
            lines += _indented("\n".join(value_lines(composed.values(name, cls), f"{name}.")))
    else:
        lines.append(
            f"  settings, and where each comes from: storm-exp show {option.words} --settings"
        )
    return item, lines


def describe_sweep(option: Option, own: list[str]) -> Description:
    """Return the recipe of a sweep and the values that it combines."""
    composed = compose([option.words], own)
    params = {str(k): str(v) for k, v in composed.config.hydra.sweeper.params.items()}
    doc = comment(option.place.file) if option.place else ""
    recipe = composed.choices["recipe"].partition("/")[2]
    item = option.to_json() | {"description": doc, "recipe": recipe, "values": params}
    lines = [
        f"{option.words}, a sweep of recipe={recipe}",
        f"  {option.place}",
        *_indented(doc),
        "",
    ]
    lines += _indented("\n".join(align([[name, value] for name, value in params.items()])))
    return item, [*lines, f"  what it would make: storm-exp plan {option.words}"]


def value_lines(values: list[Value], prefix: str) -> list[str]:
    """Return lines: a setting, its value, and where that comes from; long values stick out."""
    rows = []
    for value in values:
        shown = json.dumps(value.value, ensure_ascii=False)
        origin = f"{value.written} {value.origin}" if value.written else value.origin
        rows.append((f"{value.path.removeprefix(prefix)} = {shown}", origin))
    widths = [len(text) for text, _ in rows if len(text) <= WIDEST]
    width = max(widths, default=0)
    return [f"  {text.ljust(width)}  {origin}" for text, origin in rows]


def _parts(composed: Composed) -> dict[str, type]:
    """Return the classes of stages and sections."""
    stages = {name: component.cls for name, component in composed.stages().items()}
    return stages | {
        name: cls for name, cls in section_classes().items() if name in composed.config
    }


def _all_values(composed: Composed) -> Iterator[Value]:
    for name, cls in _parts(composed).items():
        yield from composed.values(name, cls)


def _ports(component: Component) -> Iterator[str]:
    for port in component.ports.values():
        how = "several" if port.many else "one"
        optional = ", optional" if port.optional else ""
        yield f"  takes: {port} ({how}{optional}): {_artifact(port.artifact)}"


def _port_json(port: Any) -> dict[str, Any]:
    kind = {"port": port.name, "artifact": port.artifact.__name__}
    return kind | {"many": port.many, "optional": port.optional}


def _artifact(kind: type) -> str:
    """Return the first line of an artifact's description."""
    return (inspect.getdoc(kind) or "").partition("\n")[0].rstrip(".")


def _setting_json(setting: Setting) -> dict[str, Any]:
    bounds = setting.bounds
    limits = ("at_least", "at_most", "above", "below")
    return {
        "name": setting.path,
        "type": setting.kind,
        "default": plain(setting.default),
        "choices": setting.choices,
        "bounds": {n: v for n in limits if (v := getattr(bounds, n, None)) is not None},
        "unit": bounds.unit if bounds else "",
        "part_of_key": setting.semantic,
        "description": setting.doc,
        "place": str(setting.place),
    }


def _setting_lines(settings: list[Setting]) -> list[str]:
    """Return, for each setting, type, default and bounds, and below them what it means."""
    lines = []
    for each in settings:
        notes = [each.bounds.unit, str(each.bounds)] if each.bounds else []
        note = f"  ({', '.join(filter(None, notes))})" if any(notes) else ""
        note += "" if each.semantic else "  (not part of the key)"
        default = plain(each.default) if each.choices else repr(each.default)
        lines += ["", f"  {each.path}: {each.kind} = {default}{note}"]
        if each.doc:
            lines.append(textwrap.indent(each.doc, "      "))
    return lines


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]
