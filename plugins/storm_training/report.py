"""The report's sections on training: trained parameters and loss curves."""

from __future__ import annotations

import itertools
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_exp.report import RunRecord, Section
from storm_report.chart import Line, line_chart
from storm_report.heat_map import heat_map
from storm_report.look.listing import from_json
from storm_report.look.markup import LEGEND, examples_markup
from storm_report.markup import figure, folded, table
from storm_report.shown import Shown, colours, distinct
from storm_report.svg import responsive
from storm_training.data.examples_file import EXAMPLES_FILE
from storm_training.data.examples_file import LEGEND as LOSS_LEGEND

_POINTS = 300
"""Points of a drawn curve; a longer run is averaged over neighbouring steps."""
_DROPPED, _NAMED = 1000, 3
"""Rows left out among which examples are looked for, and examples of a reason."""


def sections(run: RunRecord) -> list[Section]:
    """Return the sections on trained parameters and their SNR, packed rows, and loss curves."""
    trained = [s for s in distinct(run, "training.json") if s.contents.get("steps")]
    scanned = [s for s in distinct(run, "layers.json") if s.contents.get("modules")]
    result = []
    if trained or scanned:
        maps = [(s.label, ratios(s, _trained_from(s, trained))) for s in scanned]
        html = (folded(maps) if maps else Markup()) + what_trains(trained)
        result.append(Section("What trains", html, stage=(scanned or trained)[0].stage.stage))
    seen = distinct(run, EXAMPLES_FILE)
    if seen:
        parts = [(s.label, what_it_sees(s.contents) + left_out(s)) for s in seen]
        result.append(Section("What training sees", folded(parts), stage=seen[-1].stage.stage))
    if trained:
        result.append(Section("Training", losses(run, trained), stage=trained[-1].stage.stage))
    return result


def _trained_from(scan: Shown, trained: list[Shown]) -> Shown | None:
    return next((s for s in trained if scan.stage.key in s.stage.inputs.values()), None)


def ratios(scan: Shown, trained: Shown | None) -> Markup:
    """Return a heat map of signal-to-noise ratios; matrices that were trained are outlined."""
    modules = [m for m in scan.contents["modules"] if m.get("layer") is not None]
    modules = [m for m in modules if m.get("snr") is not None and math.isfinite(m["snr"])]
    chosen = {
        entry["name"].removesuffix(".weight")
        for entry in (trained.contents.get("trainable", []) if trained else [])
        if entry["trained"]
    }
    types = list(dict.fromkeys(m["type"] for m in modules))
    layers = sorted({int(m["layer"]) for m in modules})
    values = {(m["type"], str(m["layer"])): float(m["snr"]) for m in modules}
    marked = {
        (m["type"], str(m["layer"])) for m in modules if m["name"].removesuffix(".weight") in chosen
    }
    chart = partial(
        heat_map, types, list(map(str, layers)), values, marked, x_title="layer", by_row=True
    )
    caption = (
        f"Signal-to-noise ratio of {len(modules)} matrices (singular values above against below "
        "the Marchenko-Pastur edge). Shade: from a row's lowest to its highest."
    )
    if trained:
        caption += f" Outlined: the {len(marked)} that {trained.stage.label} trains; the rest stay."
    return figure(responsive(chart), caption)


def what_it_sees(kept: dict[str, Any]) -> Markup:
    """Return the first packed rows of a training, coloured by the loss mask."""
    note = Markup("<p class='note'>{}</p>").format(kept["packing"])
    examples = examples_markup(from_json(values) for values in kept["examples"])
    return note + LEGEND.format(LOSS_LEGEND) + examples


def left_out(shown: Shown) -> Markup:
    """Return a table of the rows that were left out by reason, with the ids of a few."""
    training = shown.stage.read("training.json") or {}
    reasons = training.get("rows", {}).get("dropped") or {}
    if not isinstance(reasons, dict) or not any(reasons.values()):
        return Markup()
    tokens = shown.cell.find(str(shown.stage.inputs.get("tokens", "")))
    file = Path(tokens.directory if tokens else "", "train.dropped.jsonl")
    names: dict[str, list[str]] = {}
    if tokens and tokens.directory and file.is_file():
        with file.open(encoding="utf-8") as stream:
            for entry in map(json.loads, itertools.islice(stream, _DROPPED)):
                names.setdefault(entry["reason"], []).append(entry["id"])
    rows = [
        [reason, f"{count:,}", ", ".join(names.get(reason, [])[:_NAMED])]
        for reason, count in reasons.items()
    ]
    caption = "Rows that were left out. Their texts: storm-exp look STAGE --dropped."
    return figure(table(["reason", "rows", "for example"], rows), caption)


def what_trains(trained: list[Shown]) -> Markup:
    """Return a table of trained and frozen parameters and of the rows that were used."""
    rows = []
    for shown in trained:
        entries, used = shown.contents.get("trainable", []), shown.contents.get("rows", {})
        total = sum(entry["parameters"] for entry in entries)
        chosen = [entry for entry in entries if entry["trained"]]
        count = sum(entry["parameters"] for entry in chosen)
        dropped = used.get("dropped", 0)
        lost = sum(dropped.values()) if isinstance(dropped, dict) else dropped
        rows.append(
            [
                shown.label,
                str(shown.contents.get("objective", "")),
                f"{len(chosen)} of {len(entries)}" if entries else "",
                f"{count:,}" if entries else "",
                f"{count / total:.1%}" if total else "",
                f"{used['used']:,}" if "used" in used else "",
                f"{lost:,}" if used else "",
                f"{len(shown.contents['steps']):,}",
                f"{sum(step.get('tokens', 0) for step in shown.contents['steps']):,}",
            ]
        )
    header = ["model", "objective", "tensors trained", "parameters", "share"]
    header += ["rows used", "dropped", "steps", "tokens read"]
    return (
        figure(table(header, rows), "What each training changed, and with what.")
        if rows
        else Markup()
    )


def losses(run: RunRecord, trained: list[Shown]) -> Markup:
    """Return loss curves: one chart of pretraining from random weights, one of fine-tuning."""
    palette = colours(run)
    groups: dict[str, list[Shown]] = {}
    for shown in trained:
        kind = "fine-tuning" if "model" in shown.stage.inputs else "pretraining"
        groups.setdefault(kind, []).append(shown)
    html = Markup()
    for kind, group in groups.items():
        lines, widest = [], 1
        for number, shown in enumerate(group):
            colour = number if run.is_sweep else palette.get(shown.stage.label, number)
            points, width = _averaged(shown.contents["steps"])
            widest = max(widest, width)
            validation = [(v["step"], v["loss"]) for v in shown.contents.get("validation", [])]
            lines.append(
                Line(
                    name=shown.label,
                    points=points,
                    colour=colour,
                    faint=bool(validation),
                    legend=not validation,
                )
            )
            if validation:
                lines.append(Line(name=shown.label, points=validation, colour=colour, marks=True))
        names = ", ".join(
            dict.fromkeys(str(shown.contents.get("objective", "")) for shown in group)
        )
        title = f"loss in {kind}"
        caption = f"{title.capitalize()} ({names}): mean over the supervised tokens of a step."
        if any(line.marks for line in lines):
            caption += " Thin: training; dots: held-out rows."
        if widest > 1:
            caption += f" Training losses are averaged over up to {widest} steps."
        draw = partial(line_chart, lines, x_title="optimiser step", y_title=title)
        html += figure(responsive(draw), caption)
    return html


def _averaged(steps: list[dict[str, Any]]) -> tuple[list[tuple[float, float]], int]:
    """Return points (step, mean loss), and over how many steps each is averaged."""
    width = max(1, math.ceil(len(steps) / _POINTS))
    groups = [steps[start : start + width] for start in range(0, len(steps), width)]
    points = [(g[-1]["step"], math.fsum(step["loss"] for step in g) / len(g)) for g in groups]
    return points, width
