"""Plans with substitutes: a recipe's graph with other components, as in a rehearsal."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storm_exp import GraphError, Plan, PluginError, Rehearsed, Store, StormError, describe

Replace = Callable[[str, Any, dict[str, Any]], Any]


def substitute(real: Plan, root: Path, environment: str, replace: Replace) -> Plan:
    """Plan the recipes of a plan again, for one device, with the components that `replace` returns.

    `replace(stage, component, inputs)` is given a `Rehearsed` for each port with an edge, a list of
    them for a port that collects. It returns the same component, or one that makes the same type of
    artifact. Artifacts go into a separate store in `root`, and `environment` is part of their
    keys. Raises GraphError for what `replace` refuses, PluginError for what it must not do, and
    PlanError for a stage that cannot work.
    """
    plan = Plan(Store(root / "store"), rehearsed_in=environment)
    for cell in real.cells:
        stages = {name: _copy(stage) for name, stage in cell.recipe.stages.items()}
        runtime = dataclasses.replace(cell.recipe.runtime, devices=1, nodes=1, accelerator="")
        recipe = dataclasses.replace(cell.recipe, stages=stages, runtime=runtime)
        prepare = functools.partial(_replace_component, cell, replace)
        plan.add(cell.name, recipe, cell.overrides, prepare)
    return plan


def _copy(stage: Any) -> Any:
    edges = {port: list(sources) for port, sources in stage.edges.items()}
    return dataclasses.replace(stage, edges=edges, unused=list(stage.unused))


def _replace_component(real: Any, replace: Replace, stage: Any, twins: Any) -> None:
    """Replace the component of a stage whose inputs are in `twins` already."""
    inputs: dict[str, Any] = {}
    for port, sources in stage.edges.items():
        pairs = [
            Rehearsed(real.placed[source][element].spec, twin.spec)
            for source in sources
            for element, twin in twins.placed[source].items()
        ]
        inputs[port] = pairs if stage.component.ports[port].many else pairs[0]
    what = f"{stage.name}: the rehearsal of '{stage.component.name}'"
    try:
        settings = replace(stage.name, stage.settings, inputs)
    except StormError as error:
        raise GraphError(real.recipe.origins.locate(error, stage.name)) from error
    except Exception as error:
        raise PluginError(f"{what} failed with {type(error).__name__}: {error}") from error
    component, wanted = describe(type(settings)), stage.component.output
    if not issubclass(component.output, wanted):
        raise PluginError(f"{what} makes {component.output.__name__}, not {wanted.__name__}")
    stage.component, stage.settings = component, settings
    for port in set(stage.edges) - set(component.ports):
        del stage.edges[port]
