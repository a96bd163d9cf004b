"""The arms of an ablation: the overrides by which each differs from the recipe."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from storm_evaluation.ablation.control import Control
from storm_evaluation.ablation.design import FULL, MOST_ARMS, controlled
from storm_evaluation.evaluation import Evaluation
from storm_exp import SettingError, did_you_mean, load_plugins

Evaluators = dict[str, dict[str, Any]]
"""{evaluator: {port: what the graph connects to it}}"""


def arms(
    result: str, factors: dict[str, Control], design: str, config: DictConfig
) -> dict[str, list[str]]:
    """Return the overrides of the reference, named "", and of each other arm.

    Every arm evaluates one model alone: the recipe's result, or that of a control.
    """
    if not result:
        problem = "name the stage whose model the recipe is for: ablation.result=STAGE"
        raise SettingError("result", "", problem)
    if not factors:
        problem = "the recipe has no controls: add ablation.controls.NAME with `says` and overrides"
        raise SettingError("controls", {}, problem)
    evaluators = _evaluators(config)
    measure = {result: _measure(result, "result", evaluators)}
    for name, control in factors.items():
        if control.result and control.result not in measure:
            path = f"controls.{name}.result"
            measure[control.result] = _measure(control.result, path, evaluators)
    if design == FULL and 2 ** len(factors) > MOST_ARMS:
        problem = f"{len(factors)} factors make {2 ** len(factors)} arms, more than {MOST_ARMS}"
        raise SettingError("design", design, f"{problem}: take some out (controls.NAME=null)")
    return {
        arm: [
            f"ablation.arm={arm}",
            *_controls(names, factors),
            *measure[_result(names, factors) or result],
        ]
        for arm, names in controlled(design, list(factors)).items()
    }


def _evaluators(config: DictConfig) -> Evaluators:
    """Return the stages of a composed recipe that evaluate models, with their connections."""
    kinds = {c.cls for c in load_plugins().components.values() if c.output is Evaluation}
    found = {}
    for name in map(str, config):
        node = config._get_node(name)
        if isinstance(node, DictConfig) and OmegaConf.get_type(node) in kinds:
            found[name] = dict(config.graph.get(name) or {})
    return found


def _measure(result: str, path: str, evaluators: Evaluators) -> list[str]:
    """Return the overrides by which a cell evaluates this stage's model and makes nothing else.

    `path` is the setting that names the stage.
    """
    ports = {
        (name, port): edges
        for name, connected in evaluators.items()
        for port, edges in connected.items()
        if result in _stages(edges)
    }
    if not ports:
        connections = (edges for each in evaluators.values() for edges in each.values())
        known = {str(stage) for edges in connections for stage in _stages(edges)}
        problem = "no evaluator of the recipe takes this stage"
        raise SettingError(path, result, f"{problem}{did_you_mean(result, known)}")
    shown = [
        f"graph.{name}.{port}={f'[{result}]' if isinstance(edges, ListConfig) else result}"
        for (name, port), edges in ports.items()
    ]
    return [f"targets=[{','.join(dict.fromkeys(name for name, _ in ports))}]", *shown]


def _stages(edges: Any) -> list[Any]:
    """Return the stages that a graph connects to a port: one, or those of a list."""
    return list(edges) if isinstance(edges, ListConfig) else [edges]


def _controls(names: list[str], factors: dict[str, Control]) -> list[str]:
    """Return the overrides of several controls; raises SettingError where two set the same."""
    owner: dict[str, tuple[str, str]] = {}
    for name in names:
        for word in factors[name].overrides:
            path, _, value = word.lstrip("+~").partition("=")
            other, given = owner.setdefault(path, (name, value))
            if given != value:
                problem = f"clashes with the control of {other}, which sets {path}={given}"
                raise SettingError(f"controls.{name}.overrides", word, problem)
    return list(dict.fromkeys(word for name in names for word in factors[name].overrides))


def _result(names: list[str], factors: dict[str, Control]) -> str:
    """Return the stage that several controls evaluate; raises SettingError for two."""
    given = {factors[name].result: name for name in names if factors[name].result}
    if len(given) > 1:
        (first, other), (second, name) = list(given.items())[:2]
        problem = f"clashes with the control of {other}, whose result is {first}"
        raise SettingError(f"controls.{name}.result", second, problem)
    return next(iter(given), "")
