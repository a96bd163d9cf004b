"""What the report shows of merging."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_report.chart import heat_map
from storm_report.markup import figure, folded
from storm_report.shown import distinct


def sections(run: RunRecord) -> list[Section]:
    """Return what was merged how, and how the parents' tensors lie to each other."""
    merges = distinct(run, "merge.json")
    if not merges:
        return []
    parts = [(shown.label, merge(shown.contents)) for shown in merges]
    return [Section("Merging", folded(parts), stage=merges[0].stage.stage)]


def merge(contents: dict[str, Any]) -> Markup:
    """Return the angles between the parents' tensors, by layer and module, or what was added up."""
    if not contents.get("angles"):
        figures = {"weights": contents.get("weights"), **contents.get("parameters", {})}
        told = ", ".join(f"{name} {_shown(value)}" for name, value in figures.items() if value)
        return Markup("<p class='note'>{}</p>").format(f"{contents['method']}: {told}".rstrip(": "))
    values: dict[tuple[str, str], float] = {}
    elsewhere = []
    for entry in contents.get("angles", []):
        if entry.get("degrees") is None:
            continue
        name = entry["name"].removesuffix(".weight")
        found = re.search(r"\blayers\.(\d+)\.(.+)", name)
        if found:
            values[found[2], found[1]] = float(entry["degrees"])
        else:
            elsewhere.append(f"{name} {entry['degrees']:.3g}°")
    rows = list(dict.fromkeys(row for row, _ in values))
    columns = sorted({column for _, column in values}, key=int)
    caption = "Angle between the parents' tensors in degrees."
    if elsewhere:
        caption += f" Outside the layers: {', '.join(elsewhere)}."
    if "slerped" in contents and "tensors" in contents:
        caption += f" {contents['slerped']:,} of {contents['tensors']:,} tensors were interpolated"
        caption += " along the arc, the others along the line."
    chart = heat_map(rows, columns, values, set(), x_title="layer") if rows else Markup()
    return figure(chart, caption) or Markup("<p class='note'>{}</p>").format(caption)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
