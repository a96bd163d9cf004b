"""Checking on the hub whether the data of tasks can be fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from storm_evaluation.tasks.tree import Leaf
from storm_exp import InputError
from storm_models.sources.hub_lookup import Rows, look_up_repository, look_up_rows

_SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


def look_up_tasks(leaves: Iterable[Leaf]) -> list[str]:
    """Return a line for every data set that the tasks read from the hub.

    Raises InputError for a data set that does not exist or that this user has no access to, or that
    lacks the configuration or split; OSError without an answer.
    """
    by_repository: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        path = leaf.config.get("dataset_path")
        if isinstance(path, str) and "/" in path:
            by_repository.setdefault(path, []).append(leaf)
    lines = []
    for path, tasks in sorted(by_repository.items()):
        repository = look_up_repository(path, _revision(tasks[0]), "dataset")
        known = look_up_rows(path)
        if known is not None:
            for leaf in tasks:
                _check(leaf, path, known)
        checked = "" if known is not None else "; splits not checked"
        names = ", ".join(dict.fromkeys(leaf.asked for leaf in tasks))
        lines.append(f"{repository.summary()} for {names}{checked}")
    return lines


def _revision(leaf: Leaf) -> str:
    arguments: Any = leaf.config.get("dataset_kwargs") or {}
    return str(arguments.get("revision") or "main")


def _check(leaf: Leaf, path: str, known: Rows) -> None:
    name = leaf.config.get("dataset_name")
    configuration = str(name) if name else next(iter(known.splits))
    if configuration not in known.splits:
        raise InputError(f"task {leaf.name}: {path} has no configuration '{configuration}'")
    for field in _SPLITS:
        split = leaf.config.get(field)
        # A split may be sliced: `train[:10]`.
        if split and str(split).partition("[")[0] not in known.splits[configuration]:
            raise InputError(
                f"task {leaf.name}: {path} has no split '{split}' ({configuration} has "
                f"{', '.join(known.splits[configuration])})"
            )
