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
from storm_report.seed_mean import INTERVAL, counted_seeds, mean_curve
from storm_report.shown import Shown, colours, distinct, over_seeds
from storm_report.svg import responsive
from storm_training.data.examples_file import EXAMPLES_FILE
from storm_training.data.examples_file import LEGEND as LOSS_LEGEND

_POINTS = 300
"""Points of a drawn curve; a longer run is averaged over neighbouring steps."""
_POINTS_OF_MEANS, _FOR_A_BAND = 60, 3
"""The same of a mean over seeds, and the fewest seeds of a band: that of two, 13 standard errors to
either side, would hide all else."""
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
    """Return loss curves: one chart of pretraining from random weights, one of fine-tuning.

    Trainings that differ in their seeds alone are one curve, their mean with its interval.
    """
    palette = colours(run)
    groups: dict[str, list[Shown]] = {}
    for shown in trained:
        kind = "fine-tuning" if "model" in shown.stage.inputs else "pretraining"
        groups.setdefault(kind, []).append(shown)
    html = Markup()
    for kind, group in groups.items():
        lines, widest, counts = [], 1, []
        for number, (label, runs) in enumerate(over_seeds(run, group)):
            counts.append(len(runs))
            name = f"{label} (n = {len(runs)})" if len(runs) > 1 else label
            colour = number if run.is_sweep else palette.get(label, number)
            most = _POINTS if len(runs) == 1 else _POINTS_OF_MEANS
            width = max(math.ceil(len(each.contents["steps"]) / most) for each in runs)
            widest = max(widest, width)
            points, halves = mean_curve(
                _at_common_steps([_averaged(each.contents["steps"], width) for each in runs])
            )
            validation, errors = mean_curve(
                _at_common_steps(
                    [
                        [(v["step"], v["loss"]) for v in each.contents.get("validation", [])]
                        for each in runs
                    ]
                )
            )
            lines.append(
                Line(
                    name=name,
                    points=points,
                    spread=halves if len(runs) >= _FOR_A_BAND else [],
                    band=True,
                    colour=colour,
                    faint=bool(validation),
                    legend=not validation,
                )
            )
            if validation:
                lines.append(
                    Line(name=name, points=validation, spread=errors, colour=colour, marks=True)
                )
        names = ", ".join(
            dict.fromkeys(str(shown.contents.get("objective", "")) for shown in group)
        )
        title = f"loss in {kind}"
        caption = f"{title.capitalize()} ({names}): mean over the supervised tokens of a step."
        if any(line.marks for line in lines):
            caption += " Thin: training; dots: held-out rows."
        if widest > 1:
            caption += f" Training losses are averaged over up to {widest} steps."
        if max(counts) > 1:
            caption += f" Means over {counted_seeds(counts)}; bands and whiskers: {INTERVAL}"
            caption += "." if max(counts) >= _FOR_A_BAND else ", bands from three seeds on."
        elif run.is_sweep:
            caption += " One seed of each: no intervals."
        draw = partial(line_chart, lines, x_title="optimiser step", y_title=title)
        html += figure(responsive(draw), caption)
    return html


def _averaged(steps: list[dict[str, Any]], width: int) -> list[tuple[float, float]]:
    """Return points (step, loss), each averaged over `width` steps."""
    groups = [steps[start : start + width] for start in range(0, len(steps), width)]
    return [(g[-1]["step"], math.fsum(step["loss"] for step in g) / len(g)) for g in groups]


def _at_common_steps(curves: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
    """Return the points of curves at the steps that all have."""
    common = set[float].intersection(*({step for step, _ in curve} for curve in curves))
    return [[point for point in curve if point[0] in common] for curve in curves]
