"""Questions that two models answered with different success."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample
from storm_exp import InputError


@dataclasses.dataclass(frozen=True)
class Flip:
    """A question with another score."""

    task: str
    document: str
    prompt: str
    target: str
    first: str
    """The first model's answer."""
    second: str
    first_score: float
    second_score: float


@dataclasses.dataclass(frozen=True)
class TaskFlips:
    """The questions of a task that both models were asked."""

    label: str
    """Whose evaluation it is."""
    task: str
    questions: int
    gained: int
    """Questions of which the second has the higher score."""
    lost: int
    flips: list[Flip]


def find_flips(label: str, first: Path, second: Path) -> list[TaskFlips]:
    """Return the tasks of two evaluations with the questions that flipped.

    Questions that only one of them was asked are left out. Raises InputError where an evaluation
    cannot be read.
    """
    evaluations = [Evaluation(first), Evaluation(second)]
    kinds: dict[str, dict[str, Any]] = {}
    for evaluation in evaluations:
        kinds |= evaluation.summary()["tasks"]
    try:
        before, after = (
            {(s.task, s.document): s for s in evaluation.samples()} for evaluation in evaluations
        )
    except OSError as error:
        raise InputError(f"cannot read {error.filename} ({error.strerror})") from error
    found = []
    for task, kind in kinds.items():
        shared = [name for name in before if name[0] == task and name in after]
        flips = [
            _flip(before[name], after[name])
            for name in shared
            if before[name].score != after[name].score
        ]
        more = sum(flip.second_score > flip.first_score for flip in flips)
        gained = more if kind["higher_is_better"] else len(flips) - more
        found.append(TaskFlips(label, task, len(shared), gained, len(flips) - gained, flips))
    return found


def _flip(first: Sample, second: Sample) -> Flip:
    return Flip(
        first.task,
        first.document,
        first.prompt,
        first.target,
        first.prediction,
        second.prediction,
        first.score,
        second.score,
    )
