"""The report's section on answers: documents with the answers of all models, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from storm_evaluation.look.answers import Answered
from storm_evaluation.report.model_group import ModelGroup
from storm_exp.report import RunRecord, Section
from storm_report.look.markup import examples_markup
from storm_report.markup import folded

_SHOWN, _OF_A_TASK, _GROUPS = 6, 2, 3
"""The most documents in all and of a task, and groups of models that are shown."""
_READ = 2000
"""Documents among which they are looked for."""


def sections(run: RunRecord, groups: Sequence[ModelGroup]) -> list[Section]:
    """Return a section on answers of models; none where no evaluation has kept any."""
    shown = [] if run.rehearsal else groups[:_GROUPS]
    parts = [(group.label, html) for group in shown if (html := answers(group))]
    if not parts:
        return []
    return [Section("Answers", folded(parts), stage=groups[0].stage)]


def answers(group: ModelGroup) -> Markup:
    """Return a few documents, first those that the models answer with different success."""
    found = list(enumerate(group.answered[:_READ], start=1))
    if not found:
        return Markup()
    caption = (
        "A few documents, first those that models answered with different scores. All of them: "
        "storm-exp look RUN, with the folder of the run. " + group.note
    )
    note = Markup("<p class='note'>{}</p>").format(caption)
    return note + examples_markup(pair[1].example(pair[0]) for pair in _chosen(found))


def _chosen(found: list[tuple[int, Answered]]) -> list[tuple[int, Answered]]:
    """Return a few documents of every task, those with different scores before others."""
    taken: Counter[str] = Counter()
    chosen: list[tuple[int, Answered]] = []
    for number, document in sorted(found, key=lambda pair: not pair[1].differs()):
        task = document.document.task
        if taken[task] < _OF_A_TASK and len(chosen) < _SHOWN:
            taken[task] += 1
            chosen.append((number, document))
    return chosen
