"""The settings of every task, as evaluation.json records them beside the scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from storm_evaluation.sample import Sample
from storm_evaluation.tasks.settings import TaskSettings
from storm_evaluation.tasks.tree import Leaf
from storm_exp import InputError


class Result(Protocol):
    """The part of a task's result that is read here."""

    @property
    def metric(self) -> str:
        """The metric that it is scored by."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better."""

    @property
    def fewshot(self) -> int:
        """Examples before each question."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The score of every document."""


def by_request(
    asked: dict[str, tuple[Leaf, TaskSettings]], results: Mapping[str, Result]
) -> tuple[dict[str, tuple[str, bool]], list[Sample]]:
    """Return (metric, whether higher is better) and the samples by requested task.

    Raises InputError for a group whose tasks are scored by different metrics.
    """
    metrics: dict[str, tuple[str, bool]] = {}
    samples: list[Sample] = []
    for name, (leaf, _) in asked.items():
        result, task = results[name], leaf.asked
        scored = (result.metric, result.higher_is_better)
        if metrics.setdefault(task, scored) != scored:
            raise InputError(
                f"task {task}: its parts are scored by {metrics[task][0]} and {result.metric}; "
                f"set one for all in by_task.metric.{task}"
            )
        subtask = name if name != task else ""
        samples += [dataclasses.replace(s, task=task, subtask=subtask) for s in result.samples]
    return metrics, samples


def describe_tasks(
    asked: dict[str, tuple[Leaf, TaskSettings]], results: Mapping[str, Result]
) -> dict[str, dict[str, Any]]:
    """Return each task's settings; a group whose tasks share them has one entry."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for name, (leaf, settings) in asked.items():
        groups.setdefault(leaf.asked, {})[name] = {
            "num_fewshot": results[name].fewshot,
            "metric": results[name].metric,
            "apply_chat_template": settings.apply_chat_template,
            "fewshot_as_multiturn": settings.fewshot_as_multiturn,
            "system_instruction": settings.system_instruction,
            "batch_size": settings.batch_size,
            "limit": settings.limit,
            "limit_seed": settings.limit_seed if settings.limit else None,
            "max_new_tokens": settings.max_new_tokens,
        }
    described: dict[str, dict[str, Any]] = {}
    for group, tasks in groups.items():
        first = next(iter(tasks.values()))
        uniform = all(entry == first for entry in tasks.values())
        described |= {group: first} if uniform else tasks
    return described


COLUMNS = ("task", "metric", "examples", "chat template", "as turns", "batch", "documents")
"""The columns of the table of tasks' settings."""


def rows_of(evaluation: dict[str, Any]) -> list[list[Any]]:
    """Return a row per task (or task of a group, where they differ) of an evaluation.json."""
    settings, scores = evaluation.get("settings", {}), evaluation.get("tasks", {})
    rows = []
    for name, task in (settings.get("by_task") or {}).items():
        drawn = task["limit_seed"]
        limit = "" if task["limit"] is None else f"{'first' if drawn is None else 'drawn'} "
        rows.append(
            [
                name,
                task["metric"],
                task["num_fewshot"],
                "yes" if task["apply_chat_template"] else "no",
                "yes" if task["fewshot_as_multiturn"] else "no",
                task["batch_size"],
                f"{limit}{scores[name]['n'] if name in scores else task['limit'] or 'all'}",
            ]
        )
    return rows
