"""What differs between two sides, as a bounded number of lines."""

from __future__ import annotations

from collections.abc import Sequence

from storm_evaluation.side_by_side.differences import Differences
from storm_evaluation.side_by_side.flips import TaskFlips
from storm_report.controls import escape_controls
from storm_report.counted import counted

_SHOWN, _EXAMPLES, _LONGEST = 20, 4, 200
"""The most lines of a kind, flipped questions, and characters of a text."""


def lines(found: Differences) -> list[str]:
    """Return stages, rows, scores and questions that differ, in this order."""
    parts = [_stages(found), _rows(found), _scores(found), _questions(found)]
    return [escape_controls(line) for part in parts for line in part] + [
        escape_controls(note) for note in _bounded(found.notes)
    ]


def _stages(found: Differences) -> list[str]:
    if not found.stages:
        return [f"stages    the same {found.shared}, so all that follows is the same"]
    own = [f"  {each.label}: {line}" for each in found.stages for line in each.what]
    follow = [each.label for each in found.stages if not each.what]
    shown = [f"stages    {found.shared} shared; they differ from {found.stages[0].label} on"]
    shown += _bounded(own)
    if follow:
        others = f", and {len(follow) - _SHOWN} more" if len(follow) > _SHOWN else ""
        shown.append(f"  made of what differs: {', '.join(follow[:_SHOWN])}{others}")
    return shown


def _rows(found: Differences) -> list[str]:
    shown = []
    for change in found.rows[:_SHOWN]:
        shown.append(
            f"rows      {change.label}, {change.split}: {change.first:,} → {change.second:,}; "
            f"{change.left:,} left, {change.entered:,} entered"
        )
        shown += [f"  left     {_short(text)}" for text in change.examples_left]
        shown += [f"  entered  {_short(text)}" for text in change.examples_entered]
    return shown


def _scores(found: Differences) -> list[str]:
    return [f"score     {line}" for line in _bounded([pair.line() for pair in found.scores])]


def _questions(found: Differences) -> list[str]:
    differing = [each for each in found.questions if each.flips]
    counts = [
        f"questions {each.label}, {each.task}: {len(each.flips)} of "
        f"{counted(each.questions, 'question')} flipped, {each.gained} for the better, "
        f"{each.lost} for the worse"
        for each in differing
    ]
    return [*_bounded(counts), *_examples(differing)]


def _examples(differing: Sequence[TaskFlips]) -> list[str]:
    """Return the first flipped questions of each task in turn."""
    firsts = [each.flips[0] for each in differing if each.flips][:_EXAMPLES]
    shown = []
    for flip in firsts:
        shown += [
            f"  {flip.task}: {_short(flip.prompt)}",
            f"    expected {_short(flip.target)}",
            f"    first    {_short(flip.first)} ({flip.first_score:.4g})",
            f"    second   {_short(flip.second)} ({flip.second_score:.4g})",
        ]
    return shown


def _bounded(all_lines: Sequence[str]) -> list[str]:
    more = len(all_lines) - _SHOWN
    return [*all_lines[:_SHOWN], *([f"  and {more} more (--json has all)"] if more > 0 else [])]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
