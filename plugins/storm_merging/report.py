"""The report's section on merges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section, StageRecord
from storm_report.heat_map import heat_map
from storm_report.markup import figure, folded, table
from storm_report.shown import distinct
from storm_report.svg import responsive


def sections(run: RunRecord) -> list[Section]:
    """Return the section on the run's merges, empty if there are none."""
    merges = distinct(run, "merge.json")
    if not merges:
        return []
    labels = {stage.key: stage.label for cell in run.cells for stage in cell.stages}
    parts = [
        (shown.label, merge(shown.contents) + _sources(shown.stage, labels)) for shown in merges
    ]
    return [Section("Merging", folded(parts), stage=merges[0].stage.stage)]


def merge(contents: dict[str, Any]) -> Markup:
    """Return a heat map of the angles between the models, or the method's parameters as text.

    Where the models' vocabularies differ, it is told how they were made one.
    """
    return _method(contents) + _vocabulary(contents.get("vocabulary"))


def _method(contents: dict[str, Any]) -> Markup:
    if not contents.get("angles"):
        parameters = {"weights": contents.get("weights"), **contents.get("parameters", {})}
        text = _parameters(parameters)
        return Markup("<p class='note'>{}</p>").format(f"{contents['method']}: {text}".rstrip(": "))
    values: dict[tuple[str, str], float] = {}
    outside = []
    for entry in contents.get("angles", []):
        if entry.get("degrees") is None:
            continue
        name = entry["name"].removesuffix(".weight")
        match = re.search(r"\blayers\.(\d+)\.(.+)", name)
        if match:
            values[match[2], match[1]] = float(entry["degrees"])
        else:
            outside.append(f"{name} {entry['degrees']:.3g}°")
    rows = list(dict.fromkeys(row for row, _ in values))
    columns = sorted({column for _, column in values}, key=int)
    caption = "Angle between the parents' tensors in degrees."
    if outside:
        caption += f" Outside the layers: {', '.join(outside)}."
    if "slerped" in contents and "tensors" in contents:
        caption += f" {contents['slerped']:,} of {contents['tensors']:,} tensors were interpolated"
        caption += " along the arc, the others along the line."
    chart = partial(heat_map, rows, columns, values, set(), x_title="layer")
    return figure(responsive(chart), caption) or Markup("<p class='note'>{}</p>").format(caption)


def _vocabulary(told: dict[str, Any] | None) -> Markup:
    if not told:
        return Markup()
    added = f", with {told['added']:,} tokens added" if told["added"] else ""
    text = f"{told['tokens']:,} tokens in {told['rows']:,} rows; the tokenizer is that of model "
    rows = [
        [each["model"], f"{each['tokens']:,}", ", ".join(map(repr, each["first"])), each["has"]]
        for each in told["filled"]
    ]
    note = Markup("<p class='note'>{}</p>").format(f"{text}{told['tokenizer_of']}{added}.")
    if not rows:
        return note
    return note + table(["model", "tokens", "first of them", "for which it has"], rows)


def _sources(stage: StageRecord, labels: Mapping[str, str]) -> Markup:
    """Return a table of a merge by slices: which layers are whose, and their parameters.

    `labels` names the artifacts by key.
    """
    if stage.component != "merge_yaml":
        return Markup()
    models = [labels.get(key, "") for key in stage.inputs.get("models") or []]
    whole = [{"sources": [{"model": number} for number in range(1, len(models) + 1)]}]
    rows = []
    for number, piece in enumerate(stage.settings.get("slices") or whole, start=1):
        base = piece.get("base") or stage.settings.get("base")
        for source in piece["sources"]:
            model, layers = source["model"], source.get("layers")
            name = f"{model} {models[model - 1]}" + (", the base" if model == base else "")
            which = f"{layers[0]} to {layers[1] - 1}" if layers else "all"
            own = {**(piece.get("parameters") or {}), **(source.get("parameters") or {})}
            rows.append([number, name, which, _parameters(own)])
    return table(["slice", "model", "layers", "parameters of slice and model"], rows)


def _parameters(values: Mapping[str, Any]) -> str:
    """Return what is set, as text."""
    given = {name: value for name, value in values.items() if value not in (None, [], {}, "")}
    return ", ".join(f"{name} {_format(value)}" for name, value in given.items())


def _format(value: Any) -> str:
    if isinstance(value, dict):
        where = value.get("filter")
        told = _format(value["value"])
        told = f"({told})" if isinstance(value["value"], list) else told
        return f"{told} in {where}" if where not in (None, "*") else f"{told} elsewhere"
    if isinstance(value, list):
        return ", ".join(map(_format, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
