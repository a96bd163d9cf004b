"""Settings of single tasks in a rehearsal: as they are, but for few questions and short answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from storm_evaluation.tasks.settings import ByTask

ANSWER, BATCH = 8, 8
"""Tokens of an answer, and documents of a batch, at most."""


def few_questions(by_task: ByTask, known: Iterable[str], asked: Iterable[str]) -> ByTask:
    """Return what is said of single tasks, without those of `asked` that are not `known`."""
    gone = set(asked) - set(known)
    kept = {
        field.name: {
            name: value for name, value in getattr(by_task, field.name).items() if name not in gone
        }
        for field in dataclasses.fields(by_task)
    }
    kept["limit"] = dict.fromkeys(kept["limit"], 1)
    kept["batch_size"] = {name: min(size, BATCH) for name, size in kept["batch_size"].items()}
    kept["max_new_tokens"] = dict.fromkeys(kept["max_new_tokens"], ANSWER)
    return dataclasses.replace(by_task, **kept)
