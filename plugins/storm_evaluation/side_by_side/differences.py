"""What differs between two sides: settings, lineage, rows, scores and questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from storm_evaluation.reproduction.original import Step
from storm_evaluation.reproduction.scores import ScorePair, pair_scores
from storm_evaluation.reproduction.stages import what_differs
from storm_evaluation.side_by_side.flips import TaskFlips, find_flips
from storm_evaluation.side_by_side.rows import RowChanges, row_changes
from storm_evaluation.side_by_side.side import Side
from storm_exp import InputError

_DATA = "Dataset"


@dataclasses.dataclass(frozen=True)
class StageDifference:
    """A stage of either side whose artifact is not that of the other."""

    label: str
    what: list[str]
    """What differs in the stage itself; empty where only what it is made of differs."""


@dataclasses.dataclass(frozen=True)
class Differences:
    """All that differs between two sides."""

    first: Side
    second: Side
    shared: int
    """The number of stages with the same key."""
    stages: list[StageDifference]
    rows: list[RowChanges]
    scores: list[ScorePair]
    questions: list[TaskFlips]
    notes: list[str]
    """What could not be compared, and why."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "first": self.first.name,
            "second": self.second.name,
            "shared": self.shared,
            **{
                name: [dataclasses.asdict(each) for each in getattr(self, name)]
                for name in ("stages", "rows", "scores", "questions")
            },
            "notes": self.notes,
        }


def find_differences(first: Side, second: Side, margin: float) -> Differences:
    """Return what differs between two sides, whose stages are matched by their labels."""
    before = {step.label: step for step in first.steps}
    after = {step.label: step for step in second.steps}
    labels = {step.key: step.label for step in [*first.steps, *second.steps]}
    stages = list(_stages(before, after, labels))
    notes: list[str] = []
    rows = [
        change
        for label, places in _places(before, after)
        for change in _attempt(notes, f"rows of {label}", [], row_changes, label, *places)
    ]
    pairs, questions = [], []
    for label, places in _evaluations(first.evaluations, second.evaluations):
        if places[0] != places[1]:
            empty: tuple[list[ScorePair], dict[str, Any]] = ([], {})
            what = f"scores of {label}"
            pairs += _attempt(notes, what, empty, pair_scores, label, *places, margin)[0]
            questions += _attempt(notes, f"questions of {label}", [], find_flips, label, *places)
    shared = sum(label in after and after[label].key == step.key for label, step in before.items())
    return Differences(first, second, shared, stages, rows, pairs, questions, notes)


def _stages(
    before: Mapping[str, Step], after: Mapping[str, Step], labels: Mapping[str, str]
) -> Iterator[StageDifference]:
    for label in dict.fromkeys([*before, *after]):
        if label not in after or label not in before:
            side = "first" if label in before else "second"
            yield StageDifference(label, [f"only the {side} has it"])
        elif before[label].key != after[label].key:
            asked, others = what_differs(before[label], after[label], labels)
            yield StageDifference(label, [*asked, *others])


def _places(
    before: Mapping[str, Step], after: Mapping[str, Step]
) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield the data sets of both sides that are not the same, with their folders."""
    for label in before:
        steps = [side[label] for side in (before, after) if label in side]
        places = [s.directory for s in steps if s.artifact == _DATA and s.directory is not None]
        if len(places) == 2 and steps[0].digest != steps[1].digest:
            yield label, (places[0], places[1])


def _evaluations(
    before: Mapping[str, Path], after: Mapping[str, Path]
) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield the evaluations of both sides that have one label.

    Where an evaluator has a single one on each side, as in the arms of an ablation, they are of the
    models to compare, whatever the names of their stages.
    """
    sides = [_by_evaluator(before), _by_evaluator(after)]
    for evaluator in sides[0]:
        first, second = (side.get(evaluator, []) for side in sides)
        if len(first) == len(second) == 1 and first != second:
            yield f"{first[0]} → {second[0]}", (before[first[0]], after[second[0]])
        for label in first:
            if label in second:
                yield label, (before[label], after[label])


def _by_evaluator(labels: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label in labels:
        found.setdefault(label.partition("[")[0], []).append(label)
    return found


def _attempt(notes: list[str], what: str, otherwise: Any, function: Any, *arguments: Any) -> Any:
    """Return what a function returns; where files are gone or unreadable, note why."""
    try:
        return function(*arguments)
    except (InputError, OSError) as error:
        notes.append(f"{what} cannot be compared: {error}")
        return otherwise
