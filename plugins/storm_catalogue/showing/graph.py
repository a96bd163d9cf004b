"""Stages of a composed recipe: what each is, and what it takes from which."""

from __future__ import annotations

import dataclasses
from graphlib import CycleError, TopologicalSorter
from typing import Any

from omegaconf import OmegaConf

from storm_catalogue.composition import Composed
from storm_catalogue.showing.rails import draw
from storm_exp import Component, GraphError, align


@dataclasses.dataclass(frozen=True)
class ShownStage:
    """Stage of a recipe."""

    name: str
    choice: str
    """Menu and option, such as `merger/slerp`."""
    component: Component
    inputs: dict[str, list[str]]
    """Stages by port, for the ports that the component has."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        names = {"stage": self.name, "choice": self.choice, "component": self.component.name}
        return names | {"makes": self.component.output.__name__, "inputs": self.inputs}


def read_stages(composed: Composed) -> list[ShownStage]:
    """Return the stages, inputs first; raises GraphError for a graph with a circle."""
    graph: Any = OmegaConf.to_container(composed.config.graph, resolve=True)
    gone = {name for name, edges in graph.items() if edges is None}
    stages = {}
    for name, component in composed.stages().items():
        if name in gone:
            continue
        edges = {port: _sources(value, gone) for port, value in (graph.get(name) or {}).items()}
        inputs = {port: each for port, each in edges.items() if each and port in component.ports}
        stages[name] = ShownStage(name, composed.choices.get(name, ""), component, inputs)
    needs = {
        name: [source for sources in stage.inputs.values() for source in sources]
        for name, stage in stages.items()
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise GraphError(f"graph: the stages wait for each other in a circle: {circle}") from error
    ordered: dict[str, ShownStage] = {}

    def visit(name: str) -> None:
        for source in needs.get(name, ()):
            visit(source)
        if name in stages:
            ordered.setdefault(name, stages[name])

    for name in stages:
        visit(name)
    return list(ordered.values())


def draw_stages(stages: list[ShownStage]) -> list[str]:
    """Return the drawing of a graph, a line per stage with its choice and its inputs by port."""
    known = {stage.name for stage in stages}
    inputs = {
        stage.name: [s for sources in stage.inputs.values() for s in sources if s in known]
        for stage in stages
    }
    rows = []
    for rails, stage in zip(draw(inputs), stages, strict=True):
        taken = "  ".join(f"{port} ← {_taken(stage, port)}" for port in stage.inputs)
        rows.append([f"{rails} {stage.name}", stage.choice or stage.component.name, taken])
    return align(rows) if rows else []


def _taken(stage: ShownStage, port: str) -> str:
    sources = ", ".join(stage.inputs[port])
    maps = len(stage.inputs[port]) > 1 and not stage.component.ports[port].many
    return f"each of {sources}" if maps else sources


def _sources(value: Any, gone: set[str]) -> list[str]:
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str) and name not in gone]
