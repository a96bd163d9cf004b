"""The harness's tasks, loaded with the settings of an evaluation, and the documents they ask."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval.utils
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import TaskIndex as HarnessIndex
from lm_eval.tasks._yaml_loader import load_yaml

from storm_evaluation.harness.quiet import offline, quiet
from storm_evaluation.tasks.index import TaskIndex
from storm_evaluation.tasks.samples import sampled
from storm_evaluation.tasks.settings import TaskSettings
from storm_evaluation.tasks.tree import definitions
from storm_exp import InputError


@dataclasses.dataclass(frozen=True)
class HarnessTasks:
    """The tasks of an evaluation and their settings."""

    names: tuple[Any, ...]
    """Names, or configurations of tasks as the harness takes them, as dicts."""
    task_folder: Path | None
    settings: dict[str, TaskSettings]
    """The settings of every leaf task of the names."""
    seed: int
    sample_rows: int | None = None
    """Sample rows in place of each data set of the hub; None: the data sets themselves."""
    left_out: frozenset[str] = frozenset()
    """Leaf tasks of the names that are not to be evaluated."""

    @property
    def by_name(self) -> bool:
        """Whether any task is given by name, so that the harness's index is needed."""
        return any(isinstance(name, str) for name in self.names)


@contextlib.contextmanager
def opened(
    tasks: HarnessTasks, scratch: Path
) -> Iterator[tuple[dict[str, list[str]], dict[str, Any]]]:
    """Load tasks with their data and settings, caches being in `scratch`.

    Yields the leaf tasks' names by requested name, and the leaf tasks by name; what libraries print
    meanwhile goes to the log. Raises InputError for tasks that the harness does not have.
    """
    local = tasks.task_folder is not None or not tasks.by_name
    network = offline() if local else contextlib.nullcontext()
    with quiet(), network, _cached_templates():
        manager = _manager(tasks)
        if tasks.task_folder is not None:
            _anchor_data_files(manager, scratch / "datasets")
        with sampled(tasks.sample_rows) if tasks.sample_rows else contextlib.nullcontext():
            members, loaded = _load(manager, tasks)
        for name, task in loaded.items():
            _configure(task, tasks.settings[name], tasks.seed)
        yield members, loaded


def _configure(task: Any, settings: TaskSettings, seed: int) -> None:
    stated = task.get_config("num_fewshot")
    if settings.num_fewshot is not None and stated != 0:
        task.set_config(key="num_fewshot", value=settings.num_fewshot)
    elif stated is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=seed)
    if task.get_config("output_type") == "generate_until" and settings.max_new_tokens:
        task.set_config(
            key="generation_kwargs",
            value={"max_gen_toks": settings.max_new_tokens},
            update=True,
        )


def drawn(task: str, documents: int, settings: TaskSettings) -> list[int]:
    """Return the indices of the documents to evaluate, as drawn.

    They follow from the task's name and settings alone.
    """
    assert settings.limit is not None
    draw = random.Random(f"{settings.limit_seed} {task}")
    return draw.sample(range(documents), min(settings.limit, documents))


def _manager(tasks: HarnessTasks) -> TaskManager:
    """Return a manager of these tasks only: reading all of the harness's takes half a minute."""
    if tasks.task_folder is not None:
        return TaskManager(include_path=str(tasks.task_folder), include_defaults=False)
    manager = TaskManager(include_defaults=False)
    names = [name for name in tasks.names if isinstance(name, str)]
    index = TaskIndex.of_harness(tuple(names)) if names else None
    for file in definitions(index, names) if index is not None else ():
        config = load_yaml(file, resolve_func=False)
        HarnessIndex.process_cfg(config, file, manager.task_index)
    return manager


def _load(
    manager: TaskManager, requested: HarnessTasks
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return the leaf tasks' names by requested name, and the leaf tasks by name."""
    members: dict[str, list[str]] = {}
    tasks: dict[str, Any] = {}
    for item in requested.names:
        name = item if isinstance(item, str) else item["task"]
        try:
            loaded = manager.load([item])
        except KeyError as error:
            raise InputError(f"lm-evaluation-harness has no task '{name}'") from error
        members[name] = list(loaded["tasks"])
        tasks.update(loaded["tasks"])
    if set(tasks) != set(requested.settings):
        differ = ", ".join(sorted(set(tasks) ^ set(requested.settings))[:4])
        raise InputError(f"lm-evaluation-harness loads other tasks than its YAMLs define: {differ}")
    return members, tasks


def _anchor_data_files(manager: TaskManager, cache: Path) -> None:
    """Make data files relative to the task's YAML, and put caches in the stage's scratch."""
    for entry in manager.task_index.values():
        if entry.yaml_path is None or entry.kind.name != "TASK":
            continue
        folder = Path(entry.yaml_path).parent
        config = load_yaml(entry.yaml_path, resolve_func=True)
        if "custom_dataset" in config or "dataset_path" not in config:
            continue
        arguments = dict(config.get("dataset_kwargs") or {})
        if "data_files" in arguments:
            arguments["data_files"] = _anchor(arguments["data_files"], folder)
        config["dataset_kwargs"] = {"cache_dir": str(cache), **arguments}
        entry.cfg, entry.yaml_path = config, None


def _anchor(files: Any, folder: Path) -> Any:
    if isinstance(files, dict):
        return {split: _anchor(value, folder) for split, value in files.items()}
    if isinstance(files, list):
        return [_anchor(value, folder) for value in files]
    inside = folder / files
    return str(inside) if inside.exists() else files


@contextlib.contextmanager
def _cached_templates() -> Iterator[None]:
    """Compile each of the tasks' Jinja templates once.

    The harness compiles them for every document, which takes longer than a small model's answer.
    """
    environment = lm_eval.utils.env
    environment.from_string = functools.lru_cache(maxsize=512)(environment.from_string)
    try:
        yield
    finally:
        del environment.from_string
