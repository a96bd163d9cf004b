"""Rehearsals: a recipe's own graph, end to end, on small stand-ins for what is large.

A component may declare `rehearsal(self, …)`. It returns a component to run in its place: itself
with smaller settings, or a substitute that makes the same kind of artifact. It names the ports
that it wants to know of, and gets for each what the recipe plans there and what stands in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import platform
from pathlib import Path
from typing import Any

from storm_exp._compose.graph import Stage, leave_idle_ports
from storm_exp._compose.recipe import Recipe
from storm_exp._contract.component import describe
from storm_exp._contract.errors import GraphError, PluginError, StormError
from storm_exp._contract.plugins import Plugins
from storm_exp._contract.rehearsed import Rehearsed
from storm_exp._contract.setting_values import all_settings, flat
from storm_exp._plan.plan import Cell, Plan
from storm_exp._run.record import installed_distributions
from storm_exp._store.store import Store

FOLDER = "rehearsals"
"""The folder under `outputs` that holds the store and the runs of rehearsals."""
_SHOWN = 60


@dataclasses.dataclass
class Understudy:
    """What became of one stage for the rehearsal."""

    stage: str
    component: str
    substitute: str = ""
    """What stands in: another component, or what its own one reads instead (`stands_for`)."""
    declared: bool = True
    """Whether the component says how it is rehearsed."""
    reduced: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """{setting: (as the recipe has it, as it was rehearsed)}"""
    left_out: list[str] = dataclasses.field(default_factory=list)
    """What of the stage no rehearsal can tell."""

    def line(self) -> str:
        """Return one line for people."""
        name = f"{self.stage} ({self.component})"
        if not self.declared:
            return f"{name}: as it is; the component declares no rehearsal"
        values = [f"{k} {_shown(a)} → {_shown(b)}" for k, (a, b) in self.reduced.items()]
        by = [f"replaced by {self.substitute}"] if self.substitute else []
        return f"{name}: {', '.join([*by, *values]) or 'as it is'}"


def understudies(real: Plan, environment: str, root: Path) -> tuple[Plan, list[Understudy]]:
    """Plan the cells of a plan again, on twins; return the plan and what became of the stages.

    Artifacts go to a store of their own under `root`, and `environment` is part of their keys.
    Raises PlanError for what cannot work on twins, PluginError for a `rehearsal` that breaks its
    contract.
    """
    plan = Plan(Store(root / "store"), rehearsed_in=environment)
    known: dict[tuple[str, str], Understudy] = {}
    for cell in real.cells:
        stages = {name: _copy(use) for name, use in cell.recipe.stages.items()}
        recipe = dataclasses.replace(cell.recipe, stages=stages, runtime=_one_device(cell.recipe))

        def prepare(use: Stage, twins: Cell, cell: Cell = cell) -> None:
            part = _cast(use, cell, twins)
            known.setdefault((use.name, part.line()), part)

        plan.add(cell.name, recipe, cell.overrides, prepare)
    plan.on_twins = any(part.substitute for part in known.values())
    return plan, list(known.values())


def environment_digest(plugins: Plugins) -> str:
    """Return a digest of what a rehearsal proves something about, besides the recipe.

    Versions of everything that is installed, and the sources of engine and plugins: as long as
    none of it changes, what was rehearsed once need not be rehearsed again.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    digest.update(json.dumps(installed_distributions()).encode())
    files = [Path(__file__).parents[1] / "__init__.py"]
    files += [Path(f) for p in plugins.plugins if (f := getattr(p.module, "__file__", None))]
    for file in files:  # a plugin is a package, or a single module
        package = file.name == "__init__.py"
        for source in sorted(file.parent.rglob("*.py")) if package else [file]:
            digest.update(str(source.relative_to(file.parent)).encode() + source.read_bytes())
    return digest.hexdigest()


def _copy(use: Stage) -> Stage:
    edges = {port: list(sources) for port, sources in use.edges.items()}
    return dataclasses.replace(use, edges=edges, unused=list(use.unused))


def _one_device(recipe: Recipe) -> Any:
    return dataclasses.replace(recipe.runtime, devices=1, nodes=1, accelerator="")


def _cast(use: Stage, real: Cell, twins: Cell) -> Understudy:
    """Give a stage what its component's `rehearsal` returns."""
    part = Understudy(use.name, use.component.name)
    settings = use.settings
    describes = getattr(settings, "not_rehearsed", None)
    part.left_out = list(describes()) if describes is not None else []
    declared = getattr(settings, "rehearsal", None)
    if declared is None:
        part.declared = False
        return part
    found = _ask(use, declared, real, twins)
    _take(use, found)
    if type(found) is not type(settings):
        part.substitute = str(getattr(found, "stands_for", use.component.name))
    else:
        part.substitute = str(getattr(found, "stands_for", ""))
        before, after = flat(all_settings(settings)), flat(all_settings(found))
        part.reduced = {
            name: (before.get(name), value)
            for name, value in after.items()
            if before.get(name) != value
        }
    return part


def _ask(use: Stage, declared: Any, real: Cell, twins: Cell) -> Any:
    given: dict[str, Any] = {}
    for port, sources in use.edges.items():
        pairs = [
            Rehearsed(real.placed[source][element].spec, twin.spec)
            for source in sources
            for element, twin in twins.placed[source].items()
        ]
        given[port] = pairs if use.component.ports[port].many else pairs[0]
    wanted = inspect.signature(declared).parameters
    try:
        return declared(**{port: each for port, each in given.items() if port in wanted})
    except StormError as error:
        raise GraphError(real.recipe.origins.locate(error, use.name)) from error
    except Exception as error:
        raise PluginError(
            f"{use.name}: the rehearsal of '{use.component.name}' failed with "
            f"{type(error).__name__}: {error}"
        ) from error


def _take(use: Stage, found: Any) -> None:
    component = describe(type(found))
    if not issubclass(component.output, use.component.output):
        raise PluginError(
            f"{use.name}: the rehearsal of '{use.component.name}' makes "
            f"{component.output.__name__}, not {use.component.output.__name__}"
        )
    use.component, use.settings = component, found
    for port in set(use.edges) - set(component.ports):
        del use.edges[port]
    leave_idle_ports(use)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
