"""The leaf tasks of an evaluator's task names: of groups and tags, with their configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from storm_evaluation.tasks.index import TaskEntry, TaskIndex
from storm_evaluation.tasks.yaml_file import NamedFunction, load_whole_yaml
from storm_exp import InputError, SettingError, did_you_mean

_GROUP_KEYS = ("task", "group", "group_alias", "aggregate_metric_list", "metadata", "include")


@dataclasses.dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf task, and the groups through which it was reached."""

    name: str
    above: tuple[str, ...]
    """The groups and tags that it is part of, nearest first; the requested name is the last."""
    config: dict[str, Any]
    """The task's YAML with its includes and the overrides of its groups."""

    @property
    def asked(self) -> str:
        """The requested name."""
        return self.above[-1] if self.above else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which settings may be given, the most specific first."""
        return (self.name, *self.above)

    @property
    def generates(self) -> bool:
        """Whether the model writes an answer, which is what the harness takes a task to ask."""
        return bool(self.config.get("output_type", "generate_until") == "generate_until")

    def functions(self) -> Iterator[NamedFunction]:
        """Yield the Python functions that the YAML names."""
        yield from _functions_in(self.config)

    def metrics(self) -> list[str]:
        """Return the metrics in the YAML's order; a task written in Python states none."""
        listed = self.config.get("metric_list")
        known = listed if isinstance(listed, list) else []
        return [str(entry["metric"]) for entry in known if isinstance(entry, dict)]

    def own_shots(self) -> int | None:
        """Return the number of examples in the YAML, None where it has none."""
        shots = self.config.get("num_fewshot")
        return shots if isinstance(shots, int) else None


def leaves(index: TaskIndex, asked: list[str]) -> list[Leaf]:
    """Return the leaf tasks of the names, in the harness's order.

    Raises SettingError for an unknown name, with the nearest one, and for a task that is named
    twice; InputError for a YAML that cannot be read.
    """
    tasks: list[Leaf] = []
    for name in asked:
        if name not in index.entries:
            suggestion = did_you_mean(name, index.entries)
            raise SettingError("tasks", name, f"{_where(index)} has no such task{suggestion}")
        below = list(_leaves_of(index, name))
        if not below:
            raise SettingError("tasks", name, "the group holds no task")
        twice = sorted({leaf.name for leaf in below} & {leaf.name for leaf in tasks})
        if twice:
            raise SettingError("tasks", name, f"contains '{twice[0]}', which is named already")
        tasks += below
    return tasks


def definitions(index: TaskIndex, asked: list[str]) -> list[Path]:
    """Return the files that define the names, their groups and leaf tasks, each once."""
    names = {name for leaf in leaves(index, asked) for name in leaf.names}
    files = [index.file(name) for name in names if name in index.entries]
    return sorted({file for file in files if file.is_file()})


def _where(index: TaskIndex) -> str:
    return "lm-evaluation-harness" if index.of_installed else str(index.root)


def _leaves_of(index: TaskIndex, name: str) -> tuple[Leaf, ...]:
    if name not in index.remembered:
        index.remembered[name] = tuple(_walk(index, name, (), {}))
    tasks: tuple[Leaf, ...] = index.remembered[name]
    return tasks


def _walk(
    index: TaskIndex, name: str, above: tuple[str, ...], overrides: dict[str, Any]
) -> Iterator[Leaf]:
    if name in above:
        raise InputError(f"the group '{name}' of tasks contains itself")
    entry = index.entries[name]
    if entry.kind == "tag":
        for member in entry.members:
            yield from _walk(index, member, (name, *above), overrides)
        return
    config = _config(index, entry)
    if entry.kind == "group":
        yield from _members(index, name, config, above, overrides)
    else:
        yield Leaf(name, above, {**config, **overrides})


def _members(
    index: TaskIndex,
    name: str,
    config: dict[str, Any],
    above: tuple[str, ...],
    overrides: dict[str, Any],
) -> Iterator[Leaf]:
    """Yield a group's tasks as the harness builds them: by name, with overrides, or inline."""
    overrides = {k: v for k, v in config.items() if k not in _GROUP_KEYS} | overrides
    listed = config.get("task")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str):
            item = {"task": item}
        if "group" in item:
            inner = {k: v for k, v in item.items() if k != "group"}
            if item["group"] in index.entries:
                yield from _walk(index, item["group"], (name, *above), overrides | inner)
            else:
                inline = f"{name}::{item['group']}"
                yield from _members(index, inline, item, (name, *above), overrides)
            continue
        task_overrides = {k: v for k, v in item.items() if k != "task"}
        if item["task"] in index.entries:
            yield from _walk(index, item["task"], (name, *above), overrides | task_overrides)
        else:
            yield Leaf(f"{name}::{item['task']}", (name, *above), overrides | task_overrides)


def _config(index: TaskIndex, entry: TaskEntry) -> dict[str, Any]:
    file: Path = index.root / entry.file
    try:
        return load_whole_yaml(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file}: not a task's YAML ({error})") from error


def _functions_in(value: Any) -> Iterator[NamedFunction]:
    if isinstance(value, NamedFunction):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _functions_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _functions_in(inner)
