"""The report's section on training rows that hold questions of evaluations."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_data.decontamination.hits import FORMS, SUMMARY, Hit, read_hits
from storm_exp.report import RunRecord, Section
from storm_report.look.listing import Example, Part
from storm_report.look.markup import examples_markup
from storm_report.markup import figure, folded, table
from storm_report.shown import distinct

_READ, _OF_A_FORM = 5000, 2
"""Hits among which examples are looked for, and the most that are shown of a form."""


def sections(run: RunRecord) -> list[Section]:
    """Return a section on what every decontaminator found; none where there is no such stage."""
    shown = distinct(run, SUMMARY)
    if not shown:
        return []
    parts = [
        (each.label, contamination(each.contents, Path(each.stage.directory))) for each in shown
    ]
    return [Section("Contamination", folded(parts), stage=shown[0].stage.stage)]


def contamination(summary: dict[str, Any], folder: Path) -> Markup:
    """Return the hits by task and form, the questions that cannot be found, and examples."""
    forms = [form for form in FORMS if any(form in t["forms"] for t in summary["tasks"].values())]
    rows = [
        [
            name,
            *(f"{task[column]:,}" for column in ("questions", "searched", "touched", "rows")),
            *(f"{task['forms'].get(form, 0):,}" for form in forms),
        ]
        for name, task in summary["tasks"].items()
    ]
    fate = "are marked" if summary["marked"] else "were removed"
    caption = (
        f"{summary['touched']:,} of {summary['rows']:,} rows hold a question of an evaluation, and "
        f"{fate}: they have at least {summary['share']:.0%} of its n-grams of {summary['n']} words "
        "near each other. A row that holds questions of several tasks counts for each. On the "
        "right, hits by how the row holds the question."
    )
    header = ["task", "questions", "searched for", "held", "by rows", *forms]
    html = figure(table(header, rows), caption)
    left_out = [
        [f"questions {why}", f"{entry['questions']:,}", ", ".join(entry["ids"][:3])]
        for why, entry in summary["not_searched"].items()
    ]
    if left_out:
        caption = f"Questions that cannot be found (n={summary['n']}), with the ids of some."
        html += figure(table(["", "questions", "such as"], left_out), caption)
    examples = examples_markup(map(_example, _chosen(folder)))
    if examples:
        fold = Markup("<details><summary>Examples of hits</summary>{}</details>")
        html += fold.format(examples)
    return html


def _chosen(folder: Path) -> list[Hit]:
    """Return a few hits of every form, whole ones first."""
    taken: Counter[str] = Counter()
    chosen = []
    for hit in itertools.islice(read_hits(folder), _READ):
        if taken[hit.form] < _OF_A_FORM:
            taken[hit.form] += 1
            chosen.append(hit)
    return sorted(chosen, key=lambda hit: FORMS.index(hit.form))


def _example(hit: Hit) -> Example:
    title = f"row {hit.row} · {hit.task} · {hit.form}, {hit.share:.0%} of the n-grams"
    parts = [
        Part.of_text("the question", hit.asked, hit.question, beside=True),
        Part.of_text("in the row", hit.span, f"characters {hit.start} to {hit.end}", beside=True),
    ]
    return Example(title, parts)
