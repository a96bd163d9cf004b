"""Schemas of the files that a user writes: a preset of a component, a recipe."""

from __future__ import annotations

import inspect
from typing import Any

from storm_catalogue.composition import Composed, compose
from storm_catalogue.option import Option, comment, section_classes
from storm_catalogue.schema.json_schema import (
    DEFINITIONS,
    DRAFT,
    REFERENCE,
    Schema,
    settings_schema,
)
from storm_exp import Component, load_plugins

_TEXT: Schema = {"type": "string"}
_SEED: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}


def component_schema(component: Component) -> Schema:
    """Return the schema of a preset of a component."""
    schema = settings_schema(component.cls)
    start = [[component.name, "_self_"]]
    return {
        "$schema": DRAFT,
        "title": f"A preset of {component.name}",
        "description": inspect.getdoc(component.cls) or "",
        "type": "object",
        "properties": {"defaults": _defaults(start)} | schema["properties"],
        "additionalProperties": False,
        "$defs": DEFINITIONS,
    }


def recipe_schema(option: Option, own: list[str]) -> Schema:
    """Return the schema of a recipe that starts from this one, and of what it is composed to.

    Such a recipe may have more stages; raises what composing the recipe raises.
    """
    composed = compose([option.words], own)
    stages = composed.stages()
    sections = {name: settings_schema(cls) for name, cls in section_classes().items()}
    doc = comment(option.place.file) if option.place else ""
    fixed = {
        "defaults": _defaults([[f"/recipe/{option.name}", "_self_"]]),
        "graph": _graph(composed),
        "targets": {"type": "array", "items": _TEXT | {"examples": list(stages)}},
        "seed": {"anyOf": [_SEED, REFERENCE]},
        "name": {"type": ["string", "null"], "description": "Name of the run."},
        "tags": {"type": "array", "items": _TEXT, "description": "Tags of the run."},
        "outputs": _TEXT,
        "store": {"type": "object", "properties": {"path": _TEXT}, "additionalProperties": False},
        "hydra": {"type": "object"},
    }
    chosen = {name: {"$ref": f"#/$defs/{component.name}"} for name, component in stages.items()}
    components = {each.name: settings_schema(each.cls) for each in stages.values()}
    return {
        "$schema": DRAFT,
        "title": f"A recipe that starts from {option.name}",
        "description": doc,
        "type": "object",
        "properties": fixed | sections | chosen,
        "additionalProperties": {"type": "object"},
        "$defs": DEFINITIONS | components,
    }


def _graph(composed: Composed) -> Schema:
    """Return the schema of the edges: for each stage, the ports that its menu has."""
    stages, properties = composed.stages(), {}
    plugins = load_plugins()
    for name, component in stages.items():
        menu = composed.choices.get(name, component.menus[0]).partition("/")[0]
        ports = {port: _edge([]) for port in sorted(plugins.menu_ports(menu))}
        for port in component.ports.values():
            makers = [s for s, c in stages.items() if issubclass(c.output, port.artifact)]
            ports[port.name] = _edge([maker for maker in makers if maker != name])
        edges = {"type": "object", "properties": ports, "additionalProperties": False}
        properties[name] = {"anyOf": [edges, {"type": "null"}]}
    return {
        "description": "Edges: {stage: {port: stage or list of stages}}; null leaves a stage out.",
        "type": "object",
        "properties": properties,
        "additionalProperties": {"type": ["object", "null"]},
    }


def _edge(makers: list[str]) -> Schema:
    """Return the schema of what is connected to a port; the stages that fit are examples."""
    source = _TEXT | ({"examples": makers} if makers else {})
    return {"anyOf": [source, {"type": "array", "items": source}, {"type": "null"}]}


def _defaults(example: list[Any]) -> Schema:
    return {
        "description": "What it starts from, and _self_ for the place of its own values.",
        "type": "array",
        "items": {"type": ["string", "object"]},
        "examples": example,
    }
