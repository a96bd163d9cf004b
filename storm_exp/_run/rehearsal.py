"""Rehearsals: the graph of a recipe, with small substitutes for large models and data.

A component may have a method `rehearsal(self, …)` that returns the component to run in its place:
itself with smaller settings, or a substitute that makes the same type of artifact. For each port
that it has a parameter for, it gets the spec planned by the recipe and that of the stand-in.
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
from storm_exp._run.environment import installed_distributions
from storm_exp._store.store import Store

FOLDER = "rehearsals"
"""Folder in `outputs` for the store and the runs of rehearsals."""
_SHOWN = 60


@dataclasses.dataclass
class Understudy:
    """Stage of a rehearsal, compared with the recipe's."""

    stage: str
    component: str
    substitute: str = ""
    """Substitute: another component, or what the same one reads instead (`stands_for`)."""
    declared: bool = True
    """Whether the component has a method `rehearsal`."""
    reduced: dict[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)
    """{setting: (value in the recipe, value in the rehearsal)}"""
    left_out: list[str] = dataclasses.field(default_factory=list)
    """What a rehearsal cannot tell about the stage."""

    def line(self) -> str:
        """Return a one-line description."""
        name = f"{self.stage} ({self.component})"
        if not self.declared:
            return f"{name}: as it is; the component declares no rehearsal"
        values = [f"{k} {_shown(a)} → {_shown(b)}" for k, (a, b) in self.reduced.items()]
        by = [f"replaced by {self.substitute}"] if self.substitute else []
        return f"{name}: {', '.join([*by, *values]) or 'as it is'}"


def understudies(real: Plan, environment: str, root: Path) -> tuple[Plan, list[Understudy]]:
    """Plan the cells of a plan as a rehearsal; return the plan and a description of its stages.

    Artifacts go into a separate store in `root`, and `environment` is part of their keys. Raises
    PlanError for a stage that cannot work in a rehearsal, and PluginError for a `rehearsal` that
    returns something unsuitable.
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
    """Return a digest of the environment that a rehearsal tests.

    It covers the versions of all installed distributions, and the sources of engine and plugins:
    while these are unchanged, a rehearsed stage need not be rehearsed again.
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
    """Replace a stage's component by what its `rehearsal` returns."""
    part = Understudy(use.name, use.component.name)
    settings = use.settings
    describes = getattr(settings, "not_rehearsed", None)
    part.left_out = list(describes()) if describes is not None else []
    declared = getattr(settings, "rehearsal", None)
    if declared is None:
        part.declared = False
        return part
    substitute = _ask(use, declared, real, twins)
    _take(use, substitute)
    if type(substitute) is not type(settings):
        part.substitute = str(getattr(substitute, "stands_for", use.component.name))
    else:
        part.substitute = str(getattr(substitute, "stands_for", ""))
        before, after = flat(all_settings(settings)), flat(all_settings(substitute))
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


def _take(use: Stage, substitute: Any) -> None:
    component = describe(type(substitute))
    if not issubclass(component.output, use.component.output):
        raise PluginError(
            f"{use.name}: the rehearsal of '{use.component.name}' makes "
            f"{component.output.__name__}, not {use.component.output.__name__}"
        )
    use.component, use.settings = component, substitute
    for port in set(use.edges) - set(component.ports):
        del use.edges[port]
    leave_idle_ports(use)


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
