"""Settings of single tasks in a rehearsal, reduced to few questions and short answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from storm_evaluation.tasks.settings import ByTask

ANSWER, BATCH = 8, 8
"""The most tokens of an answer, and documents of a batch."""


def few_questions(by_task: ByTask, known: Iterable[str], asked: Iterable[str]) -> ByTask:
    """Return reduced settings of single tasks, without those of `asked` that are not `known`."""
    gone = set(asked) - set(known)
    reduced = {
        field.name: {
            name: value for name, value in getattr(by_task, field.name).items() if name not in gone
        }
        for field in dataclasses.fields(by_task)
    }
    reduced["limit"] = dict.fromkeys(reduced["limit"], 1)
    reduced["batch_size"] = {name: min(size, BATCH) for name, size in reduced["batch_size"].items()}
    reduced["max_new_tokens"] = dict.fromkeys(reduced["max_new_tokens"], ANSWER)
    return dataclasses.replace(by_task, **reduced)
