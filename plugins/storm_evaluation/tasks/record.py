"""The settings of every task, as evaluation.json records them beside the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from storm_evaluation.tasks.settings import TaskSettings
from storm_evaluation.tasks.tree import Leaf


class Asked(Protocol):
    """The part of a result that describes tasks."""

    @property
    def fewshot(self) -> Mapping[str, int]:
        """Task → number of few-shot examples."""

    @property
    def scored_by(self) -> Mapping[str, str]:
        """Task → metric."""


def describe_tasks(
    asked: dict[str, tuple[Leaf, TaskSettings]], result: Asked
) -> dict[str, dict[str, Any]]:
    """Return each task's settings; a group whose tasks share them has one entry."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for name, (leaf, settings) in asked.items():
        groups.setdefault(leaf.asked, {})[name] = {
            "num_fewshot": result.fewshot.get(name, 0),
            "metric": result.scored_by[name],
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
