"""The report's section on models whose depth was changed."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_models.folder.files import SURGERY_FILE
from storm_report.chart import Line, line_chart
from storm_report.markup import figure, folded
from storm_report.shown import Shown, distinct
from storm_report.svg import responsive


def sections(run: RunRecord) -> list[Section]:
    """Return a section on the source layers of every model whose depth was changed.

    Models made from such a model carry its record too and are not shown again.
    """
    by_record: dict[str, Shown] = {}
    for shown in distinct(run, SURGERY_FILE):
        if shown.contents.get("source_layers"):
            by_record.setdefault(json.dumps(shown.contents), shown)
    if not by_record:
        return []
    parts = [(shown.label, layers(shown.contents)) for shown in by_record.values()]
    return [Section("Layers", folded(parts), stage=next(iter(by_record.values())).stage.stage)]


def layers(contents: dict[str, Any]) -> Markup:
    """Return a chart of each layer's source index over its index; added copies are coloured."""
    sources, added = contents["source_layers"], set(contents.get("new_layers", []))
    lines = []
    for name, colour, chosen in (
        ("layer of the model it was made from", 0, list(range(len(sources)))),
        ("added copy", 1, sorted(added)),
    ):
        points = [(float(index), float(sources[index])) for index in chosen]
        if points:
            lines.append(Line(name=name, points=points, colour=colour, marks=True))
    caption = f"The source of every layer: {len(sources)} layers, made from {len(set(sources))}"
    caption += (
        f", {len(added)} of them added copies, which further training can change." if added else "."
    )
    draw = partial(line_chart, lines, x_title="layer", y_title="source layer", height=220)
    return figure(responsive(draw), caption)
