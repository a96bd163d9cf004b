"""Recipes: the stages and settings of a composed configuration."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp._compose.graph import (
    Stage,
    connect,
    in_order,
    leave_idle_ports,
    read_graph,
    sinks,
)
from storm_exp._compose.provenance import NO_PACKAGE, Origins
from storm_exp._compose.settings import check_keys, check_seed, check_values, read_settings
from storm_exp._compose.type_errors import explain_type_error
from storm_exp._contract.bounds import check_bounds
from storm_exp._contract.component import Component
from storm_exp._contract.errors import ComposeError, GraphError, SettingError, did_you_mean
from storm_exp._contract.plugins import SECTIONS, Plugins
from storm_exp._contract.runtime import Runtime


@dataclasses.dataclass
class Recipe:
    """Stages of a configuration that are to be made."""

    name: str
    stages: dict[str, Stage]
    """Stages that the targets need, inputs first."""
    idle: list[str]
    """Stages that no target needs: they are neither checked further nor planned."""
    targets: list[str]
    runtime: Runtime
    origins: Origins


def read_recipe(
    config: DictConfig, plugins: Plugins, origins: Origins, shared: dict[Any, Any], cell: str
) -> Recipe:
    """Read a composed configuration; raises ComposeError or GraphError if it cannot work.

    `shared` holds the components of earlier cells of a sweep: equal settings share one instance.
    `cell` names the cell; it is empty outside sweeps.
    """
    sections = plugins.sections()
    _check_sections(config, sections, origins)
    graph = read_graph(config)
    deleted = {name for name, edges in graph.items() if edges is None}
    others = {*SECTIONS, *sections, *deleted}
    names = [str(key) for key in config if key not in others]
    stages = {name: _read_stage(config, name, plugins, origins) for name in names}
    for name in graph:
        if name not in stages and name not in config:
            where = origins.of(f"graph.{name}")
            if f"~{name}" in origins.overrides:
                raise GraphError(f"~{name}: to leave a stage out, write graph.{name}=null")
            raise GraphError(
                f"graph.{name}: no stage has this name{did_you_mean(name, stages)} ({where})"
            )
    for stage in stages.values():
        connect(stage, graph.get(stage.name) or {}, stages, deleted, plugins, origins)
    ordered = in_order(stages, list(stages))
    targets = _read_targets(config, graph, stages, origins, cell)
    needed = set(targets)
    for stage in reversed(ordered):
        if stage.name in needed:
            stage.settings = read_settings(config, stage, plugins, origins, shared)
            leave_idle_ports(stage)
            needed.update(source for sources in stage.edges.values() for source in sources)
    return Recipe(
        name=origins.recipe,
        stages={stage.name: stage for stage in ordered if stage.name in needed},
        idle=[name for name in stages if name not in needed],
        targets=targets,
        runtime=_read_runtime(config, plugins, origins),
        origins=origins,
    )


def read_place(config: DictConfig, path: str, origins: Origins) -> Path:
    """Return a folder from the configuration; raises ComposeError if its value cannot be one."""
    try:
        value = OmegaConf.select(config, path)
    except OmegaConfBaseException as error:
        raise ComposeError(f"{explain_type_error(error, path)[1]} ({origins.of(path)})") from error
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        section = path.partition(".")[0]
        holds = section == path or isinstance(config.get(section), DictConfig)
        shown = f"{path}={value!r}" if holds else f"{section}={config.get(section)}"
        raise ComposeError(f"{shown}: must be a folder, as in {path}=DIR ({origins.of(path)})")
    return Path(value)


def _check_sections(config: DictConfig, sections: dict[str, type], origins: Origins) -> None:
    """Raise ComposeError for invalid root settings, and for keys that do not exist."""
    check_seed(config.seed, "seed", origins)
    kinds = {"runtime": Runtime, **{name: k for name, k in sections.items() if name in config}}
    known = {name: [field.name for field in dataclasses.fields(k)] for name, k in kinds.items()}
    for section, names in {"store": ["path"], **known}.items():
        if not isinstance(config[section], DictConfig):
            raise ComposeError(f"{section} must hold settings ({origins.of(section)})")
        for key in config[section]:
            if key not in names:
                where = origins.of(f"{section}.{key}")
                raise ComposeError(
                    f"'{section}.{key}' is not a setting{did_you_mean(str(key), names)} ({where})"
                )
    for section in kinds.keys() - {"runtime"}:
        _read_section(config, section, kinds[section], origins)


def _read_runtime(config: DictConfig, plugins: Plugins, origins: Origins) -> Runtime:
    runtime: Runtime = _read_section(config, "runtime", Runtime, origins)
    try:
        plugins.hook.storm_check_runtime(runtime=runtime)
    except SettingError as error:
        raise ComposeError(origins.locate(error, "runtime")) from error
    return runtime


def _read_section(config: DictConfig, name: str, kind: type, origins: Origins) -> Any:
    try:
        check_values(config[name], name, origins)
        section = OmegaConf.to_object(OmegaConf.merge(_schema(kind), config[name]))
        check_bounds(section)
        getattr(section, "expand", bool)(config)  # a section that adds stages has this method
        return section
    except OmegaConfBaseException as error:
        path, problem = explain_type_error(error)
        raise ComposeError(f"{name}.{problem} ({origins.of(f'{name}.{path}')})") from error
    except SettingError as error:
        raise ComposeError(origins.locate(error, name)) from error


@functools.cache
def _schema(kind: type) -> DictConfig:
    schema: DictConfig = OmegaConf.structured(kind)
    OmegaConf.set_readonly(schema, False)
    return schema


def _component(config: DictConfig, name: str, plugins: Plugins, origins: Origins) -> Component:
    node = config._get_node(name)
    cls = OmegaConf.get_type(node) if isinstance(node, DictConfig) else None
    component = next((c for c in plugins.components.values() if c.cls is cls), None)
    if component is None:
        where = origins.of(name)
        if isinstance(node, AnyNode) and name in origins.choices:
            menu = origins.menus[name]
            raise ComposeError(
                f"{name}={node}: '{name}' is a stage; to choose its component write "
                f"{menu}@{name}={node} ({where})"
            )
        if name in origins.choices:
            raise ComposeError(
                f"the preset {origins.choices[name]} names no component: its `defaults` must begin "
                "with one, as in `defaults: [slerp, _self_]`, and it must not share its name"
            )
        near = did_you_mean(name, {*SECTIONS, *map(str, config)} - {name})
        lacks = NO_PACKAGE if name == "recipe" else near
        raise ComposeError(f"'{name}' is neither a stage nor a section{lacks} ({where})")
    return component


def _read_stage(config: DictConfig, name: str, plugins: Plugins, origins: Origins) -> Stage:
    component = _component(config, name, plugins, origins)
    check_keys(config._get_node(name), name, origins)
    return Stage(name, origins.menus.get(name, component.menus[0]), component)


def _read_targets(
    config: DictConfig,
    graph: dict[str, dict[str, Any] | None],
    stages: dict[str, Stage],
    origins: Origins,
    cell: str,
) -> list[str]:
    """Return what `targets` names, or the sinks of the graph.

    A sweep's graph lacks components whose attribute `swept` is false, such as exporters.
    """
    written = config.targets
    targets: list[Any] = list(written) if isinstance(written, ListConfig) else [written]
    for target in targets:
        if target not in stages:
            near = did_you_mean(str(target), stages)
            raise GraphError(f"targets: no stage '{target}'{near} ({origins.of('targets')})")
    kept = {n: s for n, s in stages.items() if not cell or getattr(s.component.cls, "swept", True)}
    return targets or sinks({name: graph[name] for name in graph.keys() & kept}, kept)
