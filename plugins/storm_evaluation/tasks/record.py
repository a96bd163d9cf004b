"""How every task was asked, as evaluation.json says it beside the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from storm_evaluation.tasks.settings import TaskSettings
from storm_evaluation.tasks.tree import Leaf


class Asked(Protocol):
    """What a result tells of the tasks."""

    @property
    def fewshot(self) -> Mapping[str, int]:
        """Task → number of examples that stood before a question."""

    @property
    def scored_by(self) -> Mapping[str, str]:
        """Task → metric."""


def describe_tasks(
    asked: dict[str, tuple[Leaf, TaskSettings]], result: Asked
) -> dict[str, dict[str, Any]]:
    """Return each task's settings; a group whose tasks were all asked alike has one entry."""
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
        alike = all(entry == first for entry in tasks.values())
        described |= {group: first} if alike else tasks
    return described


COLUMNS = ("task", "metric", "examples", "chat template", "as turns", "batch", "documents")
"""What a table of how tasks were asked shows."""


def rows_of(evaluation: dict[str, Any]) -> list[list[Any]]:
    """Return a row per task (or task of a group, where they differ) of an evaluation.json."""
    settings, scores = evaluation.get("settings", {}), evaluation.get("tasks", {})
    rows = []
    for name, asked in (settings.get("by_task") or {}).items():
        drawn = asked["limit_seed"]
        limit = "" if asked["limit"] is None else f"{'first' if drawn is None else 'drawn'} "
        rows.append(
            [
                name,
                asked["metric"],
                asked["num_fewshot"],
                "yes" if asked["apply_chat_template"] else "no",
                "yes" if asked["fewshot_as_multiturn"] else "no",
                asked["batch_size"],
                f"{limit}{scores[name]['n'] if name in scores else asked['limit'] or 'all'}",
            ]
        )
    return rows
