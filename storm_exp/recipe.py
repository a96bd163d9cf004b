"""Recipes: a composed configuration read as stages, their settings and the edges between them."""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp.component import Component
from storm_exp.errors import ComposeError, GraphError, SettingError, StormError, did_you_mean
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
    settings: Any = None
    """An instance of the component's dataclass; None while nothing needs the stage."""
    edges: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Names of the stages at each port."""
    lists: set[str] = dataclasses.field(default_factory=set)
    """Ports whose edge was written as a list, and therefore may map."""
    unused: list[str] = dataclasses.field(default_factory=list)
    """Ports with an edge that this component of the menu lacks."""


@dataclasses.dataclass
class Recipe:
    """What a configuration says should be made."""

    name: str
    stages: dict[str, StageUse]
    """What the targets need, inputs first."""
    idle: list[str]
    """Stages that nothing needs: they are neither checked further nor planned."""
    targets: list[str]
    runtime: Runtime
    origins: Origins


def read_recipe(config: DictConfig, plugins: Plugins, origins: Origins) -> Recipe:
    """Read a composed configuration; raises ComposeError and GraphError for what cannot work."""
    _check_sections(config, origins)
    graph = _read_graph(config)
    deleted = {name for name, edges in graph.items() if edges is None}
    names = [str(key) for key in config if key not in SECTIONS and key not in deleted]
    stages = {name: _read_stage(config, name, plugins, origins) for name in names}
    for name in graph:
        if name not in stages and name not in config:
            where = origins.of(f"graph.{name}")
            raise GraphError(
                f"graph.{name}: no stage has this name{did_you_mean(name, stages)} ({where})"
            )
    for stage in stages.values():
        _connect(stage, graph.get(stage.name) or {}, stages, deleted, plugins, origins)
    ordered = _in_order(stages, list(stages))
    targets = _read_targets(config, graph, stages)
    needed = {stage.name for stage in _in_order(stages, targets)}
    for name in needed:
        stages[name].settings = _settings(config, stages[name], plugins, origins)
    return Recipe(
        name=origins.recipe,
        stages={stage.name: stage for stage in ordered if stage.name in needed},
        idle=[name for name in stages if name not in needed],
        targets=targets,
        runtime=_read_runtime(config, origins),
        origins=origins,
    )


def _check_sections(config: DictConfig, origins: Origins) -> None:
    """Raise ComposeError for keys, added with `+` or in a file, that nothing would read."""
    known = {"store": ["path"], "runtime": [field.name for field in dataclasses.fields(Runtime)]}
    for section, names in known.items():
        for key in config[section]:
            if key not in names:
                where = origins.of(f"{section}.{key}")
                raise ComposeError(
                    f"'{section}.{key}' is not a setting{did_you_mean(str(key), names)} ({where})"
                )


def _read_runtime(config: DictConfig, origins: Origins) -> Runtime:
    try:
        schema = OmegaConf.structured(Runtime)
        OmegaConf.set_readonly(schema, False)
        found = OmegaConf.to_object(OmegaConf.merge(schema, config.runtime))
    except OmegaConfBaseException as error:
        where = origins.of(f"runtime.{error.full_key}")
        problem = str(error).splitlines()[0]
        raise ComposeError(f"runtime.{error.full_key}: {problem} ({where})") from error
    except SettingError as error:
        where = origins.of(f"runtime.{error.setting}")
        raise ComposeError(f"runtime.{error} ({where})") from error
    assert isinstance(found, Runtime)
    return found


def _read_graph(config: DictConfig) -> dict[str, dict[str, Any] | None]:
    graph = config.graph
    if isinstance(graph, DictConfig):
        graph = OmegaConf.to_container(graph, resolve=True)
    if not isinstance(graph, dict):
        raise GraphError(f"graph={graph!r}: expected {{stage: {{port: stage}}}}")
    for name, edges in graph.items():
        if not (edges is None or isinstance(edges, dict)):
            raise GraphError(f"graph.{name!s}={edges!r}: expected ports ({{port: stage}}) or null")
    return graph


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


def _read_stage(config: DictConfig, name: str, plugins: Plugins, origins: Origins) -> StageUse:
    component = _component(config, name, plugins, origins)
    _check_keys(config._get_node(name), name, origins)
    return StageUse(name, origins.menus.get(name, component.menus[0]), component)


def _settings(config: DictConfig, stage: StageUse, plugins: Plugins, origins: Origins) -> Any:
    """Return the component of a stage that is needed, built from its settings."""
    name, component, node = stage.name, stage.component, config[stage.name]
    packages = component.missing_packages()
    if packages:
        distribution = plugins.owner(component).distribution
        extra = f"{distribution}[{component.extra}]" if component.extra else " ".join(packages)
        raise ComposeError(
            f"{name}: the component '{component.name}' needs {', '.join(packages)}; "
            f"pip install '{extra}'"
        )
    for path in sorted(OmegaConf.missing_keys(node)):
        raise ComposeError(f"{path} has no value; give one: {path}=…")
    try:
        return OmegaConf.to_object(node)
    except StormError as error:
        raise _located(error, name, origins) from error
    except OmegaConfBaseException as error:
        raise ComposeError(f"{name}: {str(error).splitlines()[0]}") from error


def _check_keys(node: Any, path: str, origins: Origins) -> None:
    """Raise ComposeError for keys that a dataclass lacks (`+key=` adds them)."""
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
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            _check_keys(child, f"{path}.{key}", origins)


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
            if not isinstance(source, str):
                raise GraphError(
                    f"graph.{stage.name}.{port}={value!r}: expected a stage, a list of stages or "
                    f"null ({where})"
                )
            if source not in stages and source not in deleted:
                raise GraphError(
                    f"graph.{stage.name}.{port}: no stage '{source}'"
                    f"{did_you_mean(source, stages)} ({where})"
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


def _in_order(stages: dict[str, StageUse], wanted: list[str]) -> list[StageUse]:
    """Return the wanted stages and what they need, inputs first; GraphError shows a cycle."""
    done: dict[str, StageUse] = {}
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


def _read_targets(
    config: DictConfig, graph: dict[str, dict[str, Any] | None], stages: dict[str, StageUse]
) -> list[str]:
    written = config.targets
    targets: list[Any] = list(written) if isinstance(written, ListConfig) else [written]
    for target in targets:
        if target not in stages:
            raise GraphError(f"targets: no stage '{target}'{did_you_mean(str(target), stages)}")
    return targets or _sinks(graph, stages)


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
    """Return the stages that could have been connected to a port without closing a cycle."""
    ports = stages[name].component.ports
    if port not in ports:
        return set()
    wanted = ports[port].artifact
    return {
        stage.name
        for stage in stages.values()
        if stage.component.output is wanted and stages[name] not in _in_order(stages, [stage.name])
    }
