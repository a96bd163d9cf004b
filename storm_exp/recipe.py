"""Recipes: a composed configuration read as stages, their settings and the edges between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp.component import Component
from storm_exp.errors import ComposeError, GraphError, StormError, did_you_mean
from storm_exp.origin import Origins
from storm_exp.plugins import Plugins
from storm_exp.stage import Runtime

SECTIONS = ("graph", "targets", "seed", "store", "outputs", "runtime", "hydra")
"""Root keys that are no stages."""


@dataclasses.dataclass
class StageUse:
    """A named use of a component in a recipe."""

    name: str
    menu: str
    component: Component
    settings: Any
    """An instance of the component's dataclass."""
    edges: dict[str, list[str]]
    """Names of the stages at each port."""
    lists: set[str]
    """Ports whose edge was written as a list, and therefore may map."""
    unused: list[str]
    """Ports with an edge that this component of the menu lacks."""


@dataclasses.dataclass
class Recipe:
    """What a configuration says should be made."""

    name: str
    stages: dict[str, StageUse]
    targets: list[str]
    runtime: Runtime
    origins: Origins


def read_recipe(config: DictConfig, plugins: Plugins, origins: Origins) -> Recipe:
    """Read a composed configuration; raises ComposeError and GraphError for what cannot work."""
    graph = _read_graph(config)
    deleted = {name for name, edges in graph.items() if edges is None}
    names = [str(key) for key in config if key not in SECTIONS and key not in deleted]
    components = {name: _component(config, name, plugins, origins) for name in names}
    stages = {
        name: _read_stage(config, name, component, plugins, origins)
        for name, component in components.items()
    }
    for name in graph:
        if name not in stages and name not in deleted:
            where = origins.of(f"graph.{name}")
            raise GraphError(
                f"graph.{name}: no stage has this name{did_you_mean(name, stages)} ({where})"
            )
    for stage in stages.values():
        _connect(stage, graph.get(stage.name) or {}, stages, deleted, plugins, origins)
    return Recipe(
        name=origins.recipe,
        stages=stages,
        targets=_read_targets(config, graph, stages),
        runtime=Runtime(**OmegaConf.to_container(config.runtime, resolve=True)),  # type: ignore[arg-type]
        origins=origins,
    )


def _read_graph(config: DictConfig) -> dict[str, dict[str, Any] | None]:
    graph = OmegaConf.to_container(config.graph, resolve=True)
    assert isinstance(graph, dict)
    for name, edges in graph.items():
        if not (edges is None or isinstance(edges, dict)):
            raise GraphError(f"graph.{name!s}={edges!r}: expected ports ({{port: stage}}) or null")
    return graph  # type: ignore[return-value]


def _component(config: DictConfig, name: str, plugins: Plugins, origins: Origins) -> Component:
    node = config._get_node(name)
    cls = OmegaConf.get_type(node) if isinstance(node, DictConfig) else None
    component = next((c for c in plugins.components.values() if c.cls is cls), None)
    if component is None:
        where = origins.of(name)
        if name in origins.choices:
            raise ComposeError(
                f"the preset {origins.choices[name]} names no component: its `defaults` must begin "
                "with one, as in `defaults: [slerp, _self_]`, and it must not share its name"
            )
        stages = [str(key) for key in config if key not in SECTIONS and key != name]
        known = [*stages, *SECTIONS]
        raise ComposeError(
            f"'{name}' is neither a stage nor a section{did_you_mean(name, known)} ({where})"
        )
    return component


def _read_stage(
    config: DictConfig, name: str, component: Component, plugins: Plugins, origins: Origins
) -> StageUse:
    missing = component.missing_packages()
    if missing:
        distribution = plugins.owner(component).distribution
        extra = f"{distribution}[{component.extra}]" if component.extra else ", ".join(missing)
        raise ComposeError(
            f"{name}: the component '{component.name}' needs {', '.join(missing)}; "
            f"pip install '{extra}'"
        )
    menu = origins.menus.get(name, component.menus[0])
    settings = _settings(config._get_node(name), name, origins)
    return StageUse(name, menu, component, settings, {}, set(), [])


def _settings(node: Any, name: str, origins: Origins) -> Any:
    _check_keys(node, name, origins)
    try:
        return OmegaConf.to_object(node)
    except MissingMandatoryValue as error:
        raise ComposeError(f"{name}: {error}") from error
    except StormError as error:
        raise _located(error, name, origins) from error
    except OmegaConfBaseException as error:
        raise ComposeError(f"{name}: {str(error).splitlines()[0]}") from error


def _check_keys(node: DictConfig, path: str, origins: Origins) -> None:
    """Raise ComposeError for keys that a dataclass lacks (`+key=` adds them) or lacks a value."""
    cls = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(cls):
        return
    fields = [field.name for field in dataclasses.fields(cls)]
    keys = [str(key) for key in node]
    for key in keys:
        if key not in fields:
            where = origins.of(f"{path}.{key}")
            raise ComposeError(
                f"'{path}.{key}' is not a setting{did_you_mean(key, fields)} ({where})"
            )
    for key in keys:
        full = f"{path}.{key}"
        if OmegaConf.is_missing(node, key):
            raise ComposeError(f"{full} has no value; give one: {full}=…")
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            _check_keys(child, full, origins)


def _located(error: StormError, name: str, origins: Origins) -> StormError:
    setting = getattr(error, "setting", None)
    where = f" ({origins.of(f'{name}.{setting}')})" if setting else ""
    return ComposeError(f"{name}.{error}{where}" if setting else f"{name}: {error}")


def _connect(
    stage: StageUse,
    edges: dict[str, Any],
    stages: dict[str, StageUse],
    deleted: set[str],
    plugins: Plugins,
    origins: Origins,
) -> None:
    """Fill a stage's edges; check that ports, stages and artifact types fit."""
    menu_ports = plugins.menu_ports(stage.menu) | set(stage.component.ports)
    for port, value in edges.items():
        where = origins.of(f"graph.{stage.name}.{port}")
        if port not in menu_ports:
            raise GraphError(
                f"graph.{stage.name}.{port}: no component of the menu '{stage.menu}' has this "
                f"port{did_you_mean(port, menu_ports)} ({where})"
            )
        if value is None:
            continue
        names = value if isinstance(value, list) else [value]
        for source in names:
            if source not in stages and source not in deleted:
                raise GraphError(
                    f"graph.{stage.name}.{port}: no stage '{source}'"
                    f"{did_you_mean(str(source), stages)} ({where})"
                )
        if port not in stage.component.ports:
            stage.unused.append(port)
            continue
        kept = [source for source in names if source not in deleted]
        _check_types(stage, port, kept, stages, where)
        if kept:
            stage.edges[port] = kept
        if isinstance(value, list):
            stage.lists.add(port)
    for needed in stage.component.ports.values():
        if needed.name not in stage.edges and not needed.optional:
            raise GraphError(
                f"graph.{stage.name}: the component '{stage.component.name}' needs the port "
                f"'{needed.name}' ({needed.artifact.__name__}), and no stage is connected to it"
            )


def _check_types(
    stage: StageUse, port: str, sources: list[str], stages: dict[str, StageUse], where: str
) -> None:
    wanted = stage.component.ports[port].artifact
    for source in sources:
        output = stages[source].component.output
        if not issubclass(output, wanted):
            fitting = [s.name for s in stages.values() if issubclass(s.component.output, wanted)]
            raise GraphError(
                f"graph.{stage.name}.{port}: '{source}' makes {output.__name__}, this port takes "
                f"{wanted.__name__}; stages that make one: {', '.join(fitting) or 'none'} ({where})"
            )


def _read_targets(
    config: DictConfig, graph: dict[str, dict[str, Any] | None], stages: dict[str, StageUse]
) -> list[str]:
    targets = OmegaConf.to_container(config.targets, resolve=True)
    assert isinstance(targets, list)
    for target in targets:
        if target not in stages:
            raise GraphError(f"targets: no stage '{target}'{did_you_mean(str(target), stages)}")
    return [str(target) for target in targets] or _sinks(graph, stages)


def _sinks(graph: dict[str, dict[str, Any] | None], stages: dict[str, StageUse]) -> list[str]:
    """Return the stages that no written edge mentions.

    An edge of a port that the chosen component lacks still counts: what was only needed by it is
    not needed any more. A port set to null has forgotten its stage, so what could have been there
    is no sink either.
    """
    mentioned: set[str] = set()
    for name, edges in graph.items():
        for port, value in (edges or {}).items():
            if value is None and name in stages:
                mentioned |= _makers(stages, name, port)
            mentioned.update(value if isinstance(value, list) else [value])
    return [name for name in stages if name not in mentioned]


def _makers(stages: dict[str, StageUse], name: str, port: str) -> set[str]:
    ports = stages[name].component.ports
    if port not in ports:
        return set()
    wanted = ports[port].artifact
    return {s.name for s in stages.values() if s.name != name and s.component.output is wanted}
