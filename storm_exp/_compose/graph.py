"""Graphs: the stages of a recipe and the edges between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp._compose.provenance import Origins
from storm_exp._compose.type_errors import explain_type_error
from storm_exp._contract.artifact import Artifact
from storm_exp._contract.component import Component
from storm_exp._contract.errors import GraphError, did_you_mean, plugin_code
from storm_exp._contract.plugins import Plugins


@dataclasses.dataclass
class Stage:
    """Named use of a component in a recipe."""

    name: str
    menu: str
    component: Component
    settings: Any = None
    """Instance of the component's dataclass; None for a stage that is not needed."""
    edges: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """{port: names of the stages connected to it}"""
    lists: set[str] = dataclasses.field(default_factory=set)
    """Ports whose edge was written as a list; a port that takes one artifact maps over it."""
    unused: list[str] = dataclasses.field(default_factory=list)
    """Ports with an edge that the component does not have, or does not use with its settings."""
    surroundings: list[str] = dataclasses.field(default_factory=list)
    """Paths of settings that are read from environment variables of this machine."""


def read_graph(config: DictConfig) -> dict[str, dict[str, Any] | None]:
    """Return {stage: {port: value}}, with None for a deleted stage; raises GraphError."""
    graph = config.graph
    if isinstance(graph, DictConfig):
        try:
            graph = OmegaConf.to_container(graph, resolve=True)
        except OmegaConfBaseException as error:
            raise GraphError(f"graph: {explain_type_error(error)[1]}") from error
    if not isinstance(graph, dict):
        raise GraphError(f"graph={graph!r}: expected {{stage: {{port: stage}}}}")
    for name, edges in graph.items():
        if not (edges is None or isinstance(edges, dict)):
            raise GraphError(f"graph.{name!s}={edges!r}: expected ports ({{port: stage}}) or null")
    return graph


def connect(
    stage: Stage,
    edges: dict[str, Any],
    stages: dict[str, Stage],
    deleted: set[str],
    plugins: Plugins,
    origins: Origins,
) -> None:
    """Set a stage's edges; raises GraphError unless ports, stages and artifact types match."""
    menu_ports = plugins.menu_ports(stage.menu) | set(stage.component.ports)

    def refuse(port: str, problem: str) -> GraphError:
        path = f"graph.{stage.name}.{port}"
        return GraphError(f"{path}{problem} ({origins.of(path)})")

    for port, value in edges.items():
        if port not in menu_ports:
            near = did_you_mean(port, menu_ports)
            raise refuse(port, f": no component of the menu '{stage.menu}' has this port{near}")
        if value is None:
            continue
        names = value if isinstance(value, list) else [value]
        for source in names:
            if not isinstance(source, str):
                raise refuse(port, f"={value!r}: expected a stage, a list of stages or null")
            if source not in stages and source not in deleted:
                raise refuse(port, f": no stage '{source}'{did_you_mean(source, stages)}")
        if port not in stage.component.ports:
            stage.unused.append(port)
            continue
        twice = {source for source in names if names.count(source) > 1}
        if twice and not stage.component.ports[port].many:
            problem = f"'{twice.pop()}' is named twice, and would be mapped over once"
            raise refuse(port, f": {problem}")
        kept = [source for source in names if source not in deleted]
        problem = _wrong_type(stage.component.ports[port].artifact, kept, stages)
        if problem:
            raise refuse(port, f": {problem}")
        if kept:
            stage.edges[port] = kept
        if isinstance(value, list):
            stage.lists.add(port)
    for needed in stage.component.ports.values():
        if needed.name not in stage.edges and not needed.optional:
            raise GraphError(
                f"graph.{stage.name}: the component '{stage.component.name}' needs the port "
                f"'{needed.name}' ({needed.artifact.__name__}), and no stage is connected to it "
                f"({origins.of(f'graph.{stage.name}.{needed.name}')})"
            )


def leave_idle_ports(stage: Stage) -> None:
    """Remove the edges that the component does not use with its settings (its `idle_ports`)."""
    method = getattr(stage.settings, "idle_ports", None)
    with plugin_code(f"{stage.name}: the component '{stage.component.name}' (idle_ports)"):
        idle = set(method()) if method is not None else set()
        for port in idle & set(stage.edges):
            if not stage.component.ports[port].optional:
                raise ValueError(f"the port '{port}' is not optional")
    for port in sorted(idle & set(stage.edges)):
        del stage.edges[port]
        stage.unused.append(port)


def _wrong_type(wanted: type[Artifact], sources: list[str], stages: dict[str, Stage]) -> str:
    """Return a message about a stage whose artifact a port does not take; empty if all fit."""
    makers = [s.name for s in stages.values() if issubclass(s.component.output, wanted)]
    for source in sources:
        if source not in makers:
            return (
                f"'{source}' makes {stages[source].component.output.__name__}, this port takes "
                f"{wanted.__name__}; stages that make one: {', '.join(makers) or 'none'}"
            )
    return ""


def in_order(stages: dict[str, Stage], wanted: list[str]) -> list[Stage]:
    """Return the wanted stages and their inputs, inputs first; raises GraphError for a cycle."""
    done: dict[str, Stage] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            cycle = " → ".join([*path[path.index(name) :], name])
            raise GraphError(f"graph: the stages wait for each other in a cycle: {cycle}")
        path.append(name)
        for sources in stages[name].edges.values():
            for source in sources:
                visit(source)
        path.pop()
        done[name] = stages[name]

    for name in wanted:
        visit(name)
    return list(done.values())


def sinks(graph: dict[str, dict[str, Any] | None], stages: dict[str, Stage]) -> list[str]:
    """Return the stages that no edge in the recipe mentions.

    Edges of ports that the chosen component does not have count as well: a stage needed only there
    is not needed any more. For a port set to null, any stage that could have been connected to it
    counts as mentioned.
    """
    mentioned: set[str] = set()
    for name, edges in graph.items():
        for port, value in (edges or {}).items():
            if value is None and name in stages:
                mentioned |= _makers(stages, name, port)
            mentioned.update(value if isinstance(value, list) else [value])
    return [name for name in stages if name not in mentioned]


def _makers(stages: dict[str, Stage], name: str, port: str) -> set[str]:
    """Return the stages that could be connected to a port without creating a cycle."""
    ports = stages[name].component.ports
    if port not in ports:
        return set()
    wanted = ports[port].artifact
    return {
        stage.name
        for stage in stages.values()
        if stage.component.output is wanted and stages[name] not in in_order(stages, [stage.name])
    }
