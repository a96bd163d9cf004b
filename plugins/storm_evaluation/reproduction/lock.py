"""The file `recipe.lock.json` beside a model card: the steps that made a model."""

from __future__ import annotations

import dataclasses
import enum
import json
import typing
from collections import Counter
from pathlib import Path
from typing import Any

from storm_evaluation.reproduction.original import Original, Step
from storm_evaluation.reproduction.recipe_file import lacking, recipe_body
from storm_exp import InputError, load_plugins

LOCK = "recipe.lock.json"
_FIELDS = {
    "key": str,
    "component": str,
    "version": int,
    "artifact": str,
    "settings": dict,
    "inputs": dict,
    "digest": str,
    "metrics": dict,
}
_ADOPTED = "path"
"""The port by which a card names the artifact whose files a step adopted."""


def read_lock(file: Path) -> Original:
    """Return the steps of a lock file, and a recipe that makes them again.

    A stage is named by its component. Raises InputError for a file that is no lock.
    """
    steps = _with_names(_read(file))
    components = load_plugins().components
    names: dict[str, str] = {step["key"]: step["stage"] for step in steps}
    adopted: dict[str, str] = {
        step["key"]: step["inputs"][_ADOPTED]
        for step in steps
        if step["component"] in components
        and isinstance(step["inputs"].get(_ADOPTED), str)
        and step["inputs"].keys() - components[step["component"]].ports.keys() == {_ADOPTED}
    }

    def source(key: str) -> str:
        passed = set[str]()
        while key in adopted:
            if key in passed:
                raise InputError(f"{file}: {names[key]} adopted its own files")
            passed.add(key)
            key = adopted[key]
        if key not in names:
            raise InputError(f"{file}: a step is made of {key[:12]}, which is none of its steps")
        return names[key]

    made = [step for step in steps if step["key"] not in adopted]
    stages = {step["stage"]: (step["component"], _settings(step)) for step in made}
    graph = {
        step["stage"]: {
            port: source(keys) if isinstance(keys, str) else [source(key) for key in keys]
            for port, keys in step["inputs"].items()
        }
        for step in made
    }
    notes = [f"{names[key]} adopted the files of {source(key)}" for key in adopted]
    lacks = lacking(stages)
    return Original(
        name=file.resolve().parent.name,
        recipes=[] if lacks else [recipe_body(stages, graph, {})],
        cells=[[_step(step) for step in made]],
        environment={},
        notes=notes,
        lacking=lacks,
    )


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the steps of a file; raises InputError for anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is no {LOCK}: {error}") from error
    steps = content.get("steps") if isinstance(content, dict) else None
    if not isinstance(steps, list):
        raise InputError(f"{file} is no {LOCK}: it has no list `steps`")
    for number, step in enumerate(steps, start=1):
        for name, kind in _FIELDS.items():
            value = step.get(name) if isinstance(step, dict) else None
            if not isinstance(value, kind):
                raise InputError(f"{file}: step {number} has no {name} ({kind.__name__})")
        for port, given in step["inputs"].items():
            keys = given if isinstance(given, list) else [given]
            if not all(isinstance(key, str) for key in keys):
                raise InputError(f"{file}: step {number}: inputs.{port} is no key or list of keys")
    if not steps:
        raise InputError(f"{file} has no steps: how the model was made was not recorded")
    return steps


def _with_names(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps with their stages: the component's name, numbered from the second on."""
    taken = Counter[str]()
    named = []
    for step in steps:
        component = step["component"]
        taken[component] += 1
        number = taken[component]
        named.append({**step, "stage": component if number == 1 else f"{component}_{number}"})
    return named


def _settings(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step's settings, with the neutral values that its key leaves out."""
    component = load_plugins().components.get(step["component"])
    return _merged(_neutral(component.cls) if component else {}, step["settings"])


def _neutral(cls: type) -> dict[str, Any]:
    """Return the neutral values of a component's settings, those of nested ones included."""
    kinds, values = typing.get_type_hints(cls), dict[str, Any]()
    for field in dataclasses.fields(cls):
        if "neutral" in field.metadata:
            value = field.metadata["neutral"]
            values[field.name] = value.name if isinstance(value, enum.Enum) else value
        elif dataclasses.is_dataclass(kinds[field.name]) and (inner := _neutral(kinds[field.name])):
            values[field.name] = inner
    return values


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return two settings as one; the second's values count."""
    both = {
        name: _merged(first[name], value)
        for name, value in second.items()
        if isinstance(value, dict) and isinstance(first.get(name), dict)
    }
    return {**first, **second, **both}


def _step(step: dict[str, Any]) -> Step:
    return Step(
        label=step["stage"],
        component=step["component"],
        artifact=step["artifact"],
        key=step["key"],
        inputs=step["inputs"],
        digest=step["digest"],
        metrics=step["metrics"],
        version=step["version"],
        settings=step["settings"],
    )
