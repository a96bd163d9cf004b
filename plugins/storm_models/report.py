"""What the report shows of models whose depth was changed."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_models.folder.files import SURGERY_FILE
from storm_report.chart import Line, line_chart
from storm_report.markup import figure, folded
from storm_report.shown import Shown, distinct


def sections(run: RunRecord) -> list[Section]:
    """Return which layers the deeper and shallower models are made of.

    What is made of such a model carries its record on, and is not shown again.
    """
    found: dict[str, Shown] = {}
    for shown in distinct(run, SURGERY_FILE):
        if shown.contents.get("source_layers"):
            found.setdefault(json.dumps(shown.contents), shown)
    if not found:
        return []
    parts = [(shown.label, layers(shown.contents)) for shown in found.values()]
    return [Section("Layers", folded(parts), stage=next(iter(found.values())).stage.stage)]


def layers(contents: dict[str, Any]) -> Markup:
    """Return the old place of every layer over its new one; added copies have another colour."""
    sources, added = contents["source_layers"], set(contents.get("new_layers", []))
    lines = []
    for name, colour, chosen in (
        ("layer of the model it was made from", 0, list(range(len(sources)))),
        ("added copy", 1, sorted(added)),
    ):
        points = [(float(place), float(sources[place])) for place in chosen]
        if points:
            lines.append(Line(name=name, points=points, colour=colour, marks=True))
    caption = f"Which layer stands where: {len(sources)} layers, made of {len(set(sources))}"
    caption += f", {len(added)} of them copies that training can make its own." if added else "."
    chart = line_chart(lines, x_title="place", y_title="source layer", height=220)
    return figure(chart, caption)
