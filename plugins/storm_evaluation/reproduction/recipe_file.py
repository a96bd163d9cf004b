"""Recipes written from records: every setting as it was, whatever presets say today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storm_exp import did_you_mean, load_plugins

Stages = Mapping[str, tuple[str, Mapping[str, Any]]]
"""The component and the settings of every stage, inputs first."""


def lacking(stages: Stages) -> list[str]:
    """Return a line for each stage whose component no plugin brings."""
    components = load_plugins().components
    return [
        f"{name}: no plugin here brings the component '{component}'"
        f"{did_you_mean(component, components)}"
        for name, (component, _) in stages.items()
        if component not in components
    ]


def recipe_body(
    stages: Stages,
    graph: Mapping[str, Mapping[str, Any]],
    sections: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the contents of a recipe's file.

    Edges of `graph` from other stages, or to ports that a component lacks, are left out; of a
    list, those from other stages, as a recipe does with a stage that is null.
    """
    components = load_plugins().components
    edges = {
        name: {
            port: found
            for port, sources in (graph.get(name) or {}).items()
            if port in components[component].ports and (found := _within(stages, sources))
        }
        for name, (component, _) in stages.items()
    }
    return {
        "defaults": [
            {f"/{components[component].menus[0]}@{name}": component}
            for name, (component, _) in stages.items()
        ],
        "graph": edges,
        "targets": list(stages),
        **{name: literal(values) for name, values in sections.items()},
        **{name: literal(settings) for name, (_, settings) in stages.items()},
    }


def literal(value: Any) -> Any:
    """Return a value in which no text is an interpolation for OmegaConf."""
    if isinstance(value, Mapping):
        return {name: literal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [literal(each) for each in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def _within(stages: Stages, sources: Any) -> Any:
    """Return what `stages` have of the sources of an edge: a stage, a list, or nothing."""
    if isinstance(sources, str):
        return sources if sources in stages else None
    return [name for name in sources or [] if name in stages]
