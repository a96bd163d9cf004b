"""The report's section on questions that models answer differently, which can be filtered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from storm_evaluation.look.answers import Answered
from storm_evaluation.report.model_group import ModelGroup
from storm_exp.report import RunRecord, Section
from storm_report.browser import Entry, browser_markup
from storm_report.controls import escape_controls
from storm_report.counted import counted
from storm_report.look.markup import examples_markup
from storm_report.markup import folded

_SHOWN, _GROUPS = 60, 2
"""The most questions of a group, and groups of models that are shown."""


def sections(run: RunRecord, groups: Sequence[ModelGroup]) -> list[Section]:
    """Return a section of questions with different scores; none where there are none."""
    shown = [] if run.rehearsal else groups[:_GROUPS]
    parts = [(group.label, html) for group in shown if (html := questions(group))]
    if not parts:
        return []
    title = "Questions that models answer differently"
    return [Section(title, folded(parts), stage=groups[0].stage)]


def questions(group: ModelGroup) -> Markup:
    """Return a bounded number of questions on which scores differ, as many of every task."""
    differing = [pair for pair in enumerate(group.answered, start=1) if pair[1].differs()]
    if not differing:
        return Markup()
    shown = _of_every_task(differing)
    note = (
        f"{counted(len(shown), 'question')} of the {len(differing):,} that these models answered "
        "with different scores"
    )
    more = len(shown) < len(differing)
    tail = ", as many of each task; storm-exp compare … --json has all." if more else "."
    tail += f" {group.note}" if group.note else ""
    names = [escape_controls(name) for name in group.models]
    return browser_markup(note + tail, names, [_entry(number, q, names) for number, q in shown])


def _of_every_task(differing: Sequence[tuple[int, Answered]]) -> list[tuple[int, Answered]]:
    """Return questions of all tasks in turn, in their order."""
    tasks: dict[str, list[tuple[int, Answered]]] = {}
    for pair in differing:
        tasks.setdefault(pair[1].document.task, []).append(pair)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*tasks.values()))
    return sorted(
        itertools.islice((pair for pair in in_turn if pair is not None), _SHOWN),
        key=lambda pair: pair[0],
    )


def _entry(number: int, question: Answered, names: Sequence[str]) -> Entry:
    scores = [question.samples[name].score if name in question.samples else None for name in names]
    known = [
        f"{name} {score:.4g}"
        for name, score in zip(names, scores, strict=True)
        if score is not None
    ]
    return Entry(
        group=question.document.task,
        title=f"{number:,} · {question.document.task}: {', '.join(known)}",
        scores=scores,
        html=examples_markup([question.example(number)]),
    )
