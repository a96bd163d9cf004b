"""The stages of `evaluation.every`: models of trainings before their end, and their evaluations.

Nothing that the recipe has changes its key. Interim models stand behind their training, the last
first: a training keeps them in passing, and so does the first stage that trains where the whole
training is kept already. Evaluations of interim models are stages of their own beside the recipe's
evaluator, so that comparisons, cards and objectives are of the recipe's models, as before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from storm_evaluation.evaluation import Evaluation
from storm_exp import Component, SettingError, did_you_mean, load_plugins
from storm_report.interim import INTERIM

_PORT = "model"
"""Port of an evaluator that takes what is evaluated."""
_MOST = 200
"""The most interim models of a training. Each is evaluated, and takes the room of a model."""


@dataclasses.dataclass(frozen=True)
class Interim:
    """An interim model: the stage's name, and what differs from its training."""

    name: str
    settings: Mapping[str, int | float]


def add_stages(
    config: DictConfig, every: int | None, every_epochs: float | None, chosen: list[str]
) -> None:
    """Add interim models and their evaluations to a composed recipe.

    `chosen` names the trainings; by default these are all that an evaluator scores. Raises
    SettingError.
    """
    components = dict(_components(config))
    graph = _graph(config)
    evaluators = {
        name: models
        for name, edges in graph.items()
        if name in components
        and components[name].output is Evaluation
        and not name.endswith(INTERIM)  # of a recipe that was expanded already
        and (models := _names(edges.get(_PORT)))
    }
    evaluated = dict.fromkeys(model for models in evaluators.values() for model in models)
    present = components.keys() & graph.keys()
    trainings = [name for name in evaluated if name in present and _trains(components[name])]
    if not trainings:
        setting, given = ("every", every) if every is not None else ("every_epochs", every_epochs)
        problem = "no evaluator of this recipe scores the model of a training"
        raise SettingError(setting, given, problem)
    for name in chosen:
        if name not in trainings:
            near = did_you_mean(name, trainings) or f": there are {', '.join(trainings)}"
            problem = f"'{name}' is not a training whose model is evaluated{near}"
            raise SettingError("trainings", chosen, problem)
    fitting = [name for name in trainings if _fits(name, config[name], every, every_epochs)]
    interim = {
        name: _interim(name, config[name], every, every_epochs, fitting)
        for name in chosen or trainings
    }
    for name, own in interim.items():
        for model in own:
            _check_free(config, model, name)
    with open_dict(config):
        stages = _add_models(config, interim, every, every_epochs)
        added = _add_evaluators(config, evaluators, interim)
        if config.targets:
            config.targets = list(dict.fromkeys([*config.targets, *added.values()]))
    _order(config, stages, added)


def _components(config: DictConfig) -> Iterator[tuple[str, Component]]:
    """Yield the stages with their components."""
    known = {component.cls: component for component in load_plugins().components.values()}
    for name in config:
        node = config._get_node(name)
        kind = OmegaConf.get_type(node) if isinstance(node, DictConfig) else None
        if kind in known:
            yield str(name), known[kind]


def _graph(config: DictConfig) -> dict[str, dict[str, Any]]:
    """Return the edges of stages, as far as they can be read: the engine refuses the rest."""
    try:
        graph = OmegaConf.to_container(config.graph, resolve=True)
    except (OmegaConfBaseException, ValueError):
        return {}
    if not isinstance(graph, dict):
        return {}
    return {str(name): ports for name, ports in graph.items() if isinstance(ports, dict)}


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _trains(component: Component) -> bool:
    """Return whether a component can stop before its end."""
    return any(field.name == "stop_after" for field in dataclasses.fields(component.cls))


def _fits(name: str, training: DictConfig, every: int | None, every_epochs: float | None) -> bool:
    """Return whether a training can have interim models."""
    try:
        return bool(_interim(name, training, every, every_epochs, []))
    except SettingError:
        return False


def _interim(
    name: str,
    training: DictConfig,
    every: int | None,
    every_epochs: float | None,
    fitting: list[str],
) -> list[Interim]:
    """Return the interim models of a training, first to last.

    Raises SettingError, which advises to name the trainings that are `fitting`.
    """
    if training.patience is not None:
        problem = f"{name}.patience={training.patience} may end it before: set it to null"
        raise SettingError("every" if every else "every_epochs", every or every_epochs, problem)
    only = f", or name others: evaluation.trainings=[{','.join(fitting)}]" if fitting else ""
    whole: float
    given: float | None
    if training.steps is not None:
        setting, given, unit, whole = "every", every, "step", training.stop_after or training.steps
        if given is None:
            problem = f"{name}.steps={training.steps} sets its length: give evaluation.every{only}"
            raise SettingError("every_epochs", every_epochs, problem)
        length = f"{name}.steps={whole}"
    else:
        setting, given, unit = "every_epochs", every_epochs, "epoch"
        whole = training.stop_after_epochs or training.epochs
        length = f"{name}.epochs={whole:g}"
        if given is None:
            problem = (
                f"{length} sets its length, and how many steps that is shows once its rows are "
                f"packed: give evaluation.every_epochs, too, or {name}.steps{only}"
            )
            raise SettingError("every", every, problem)
    count = math.ceil(whole / given) - 1
    if count < 1:
        problem = f"must be below {length}, after which it is evaluated anyway{only}"
        raise SettingError(setting, given, problem)
    if count > _MOST:
        problem = f"gives {count:,} models of {name}; at most {_MOST} are evaluated"
        raise SettingError(setting, given, problem)
    stop = "stop_after" if unit == "step" else "stop_after_epochs"
    ends = [round(given * number, 9) for number in range(1, count + 1)]
    return [Interim(f"{name}_{unit}_{_shown(end)}", {stop: end}) for end in ends]


def _check_free(config: DictConfig, model: Interim, training: str) -> None:
    """Raise SettingError if the recipe has another stage of a model's name."""
    present = config.get(model.name)
    ((stop, end),) = model.settings.items()
    if present is not None and present.get(stop) != end:
        problem = f"the recipe has a stage {model.name}, which is not of {training}"
        raise SettingError("trainings", [training], problem)


def _shown(end: float) -> str:
    return str(end) if isinstance(end, int) else f"{end:g}".replace(".", "_")


def _add_models(
    config: DictConfig,
    models: Mapping[str, list[Interim]],
    every: int | None,
    every_epochs: float | None,
) -> dict[str, list[str]]:
    """Add the stages of interim models; return {training: their names, last to first}."""
    for name, interim in models.items():
        for model in interim:
            if model.name not in config:
                config[model.name] = config[name]
                config[model.name].update(model.settings)
                config.graph[model.name] = config.graph[name]
        by_steps = config[name].steps is not None
        config[name].keep_every = every if by_steps else None
        config[name].keep_every_epochs = None if by_steps else every_epochs
        for model in interim:
            for setting in ("keep_every", "keep_every_epochs"):
                config[model.name][setting] = config[name][setting]
    return {name: [model.name for model in reversed(each)] for name, each in models.items()}


def _add_evaluators(
    config: DictConfig, evaluators: Mapping[str, list[str]], models: Mapping[str, list[Interim]]
) -> dict[str, str]:
    """Add a stage beside each evaluator that has interim models; return {evaluator: its name}."""
    added = {}
    for name, evaluated in evaluators.items():
        interim = [model.name for each in evaluated for model in models.get(each, [])]
        if not interim:
            continue
        added[name] = f"{name}{INTERIM}"
        config[added[name]] = config[name]
        config.graph[added[name]] = config.graph[name]
        config.graph[added[name]][_PORT] = interim
    return added


def _order(config: DictConfig, models: Mapping[str, list[str]], added: Mapping[str, str]) -> None:
    """Put the stages that were added behind their training, and before their evaluator.

    A training comes before its interim models, which it keeps in passing, and the recipe's own
    evaluation last, as its score is that of a cell.
    """
    content = config._content
    assert isinstance(content, dict)
    new = {name for names in models.values() for name in names} | set(added.values())
    order: dict[str, None] = {}
    for name in map(str, content):
        trainings = [name] if name in models else [*models] if name in added else []
        for training in trainings:
            order.update(dict.fromkeys([training, *models[training]]))
        if name in added:
            order[added[name]] = None
        if name not in new:
            order[name] = None
    nodes = {name: content[name] for name in order}
    content.clear()
    content.update(nodes)
