"""The report's section on a sweep: a chart for every metric that a setting moved, and the table."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_exp.report import Place, RunRecord, Section
from storm_report.cell_names import deciding_setting, reference_name
from storm_report.chart import Bars, Line, bar_chart, line_chart
from storm_report.counted import counted
from storm_report.markup import figure, table
from storm_report.run_table import Measure, comparable, measures, summarise, sweep_table
from storm_report.seed_mean import INTERVAL, counted_seeds, half_interval
from storm_report.shown import colours
from storm_report.svg import WIDTH, responsive
from storm_report.winner_note import winner_note

_MANY = 4
"""Curves up to which a panel may share its line of the page with another."""

Rows = list[dict[str, Any]]
Figure = tuple[float, float, int]
"""Mean, half its interval over seeds (of one seed: its standard error, if known), and seeds."""
_ONE_SEED = "one seed: trained again it may differ otherwise (seed=0,1,2 tells)"
Curves = dict[str, dict[str, Figure]]
"""Figures by value of the setting, by name of the curve."""


def sweep_section(record: RunRecord) -> Section:
    """Return charts over every setting that takes several values, and the table of all cells."""
    settings, _, rows = summarise(record)
    deciding = deciding_setting([row["settings"] for row in rows])
    reference = reference_name(record)
    if deciding:
        settings = [deciding]
        rows = [
            {**row, "settings": {deciding: row["settings"][deciding] or reference}} for row in rows
        ]
    stages = {measure.column: measure for cell in record.cells for measure in measures(cell)}
    panels = [
        (setting, *panel)
        for setting in settings
        for panel in (_shared if len(settings) == 1 else _separate)(stages, setting, rows)
    ]
    panels.sort(key=lambda panel: len(panel[2]) <= _MANY)
    palette = colours(record)
    hues = [palette.get(m.stage.element or m.stage.stage) for m in stages.values()]
    colour = {label: hue for label, hue in zip(stages, hues, strict=True) if hue is not None}
    charts = Markup().join(_chart(*panel, colour, len(panels) > 2) for panel in panels)
    header, lines = sweep_table(record)
    if deciding:
        place = header.index(deciding)
        lines = [[*line[:place], line[place] or reference, *line[place + 1 :]] for line in lines]
    seeds = max((len(row["cells"]) for row in rows), default=1)
    note = counted(len(record.cells), "cell")
    if seeds > 1:
        note += f", mean ± standard deviation over {seeds} seeds"
    elif any(row["stderr"] for row in rows):
        note += f". Of scores ± one standard error over questions, {_ONE_SEED}"
    else:
        note += ", one seed"
    names = [name.replace("[", "\u200b[") for name in header]
    html = winner_note(record) + Markup('<div class="columns">{}</div>').format(charts)
    html += figure(
        table(names, lines, "sweep"), f"{note}. All main metrics are in sweep.csv, beside this."
    )
    return Section("Sweep", html, place=Place.TOP)


def _shared(stages: dict[str, Measure], setting: str, rows: Rows) -> list[tuple[str, Curves]]:
    """Return a panel per metric that moves, with all stages that have it, moving or not.

    Figures that were measured on different things do not share a panel.
    """
    moved = [column for column in stages if moves(column, setting, rows)]
    kinds = dict.fromkeys(_kind(stages[column], rows) for column in reversed(moved))
    return [
        (
            metric if len(on) < 2 else f"{metric} (not on the same rows)",
            {
                column: _curve(column, setting, rows)
                for column, measure in stages.items()
                if _kind(measure, rows) == (metric, on)
            },
        )
        for metric, on in kinds
    ]


def _kind(measure: Measure, rows: Rows) -> tuple[str, frozenset[Any]]:
    """Return the metric, and all that the rows' figures were measured on."""
    column = measure.column
    return measure.metric, frozenset(row["on"][column] for row in rows if column in row["on"])


def _separate(stages: dict[str, Measure], setting: str, rows: Rows) -> list[tuple[str, Curves]]:
    """Return a panel per stage that moves, a curve per value of the other settings that move it."""
    panels = []
    for label, measure in reversed(stages.items()):
        if not moves(label, setting, rows):
            continue
        curves: dict[str, Rows] = {}
        for row in rows:
            others = [k for k in row["settings"] if k != setting and moves(label, k, rows)]
            name = " · ".join(f"{k}={row['settings'][k]}" for k in others) or label
            curves.setdefault(name, []).append(row)
        panel_curves = {
            name: _curve(label, setting, curve_rows) for name, curve_rows in curves.items()
        }
        stage = measure.stage
        title = f"{measure.metric} of {stage.label}"
        if measure.metric == stage.label:  # the tokens of a stage with this name
            title = stage.label
        if not comparable(label, rows):
            title += " (not on the same rows)"
        panels.append((title, panel_curves))
    return panels


def moves(label: str, setting: str, rows: Rows) -> bool:
    """Return whether a stage's metric changes with a setting while all others stay."""
    seen: dict[tuple[str, ...], set[float]] = {}
    for row in rows:
        if label in row["metrics"]:
            rest = tuple(v for k, v in row["settings"].items() if k != setting)
            seen.setdefault(rest, set()).add(row["metrics"][label][0])
    return any(len(values) > 1 for values in seen.values())


def _curve(label: str, setting: str, rows: Rows) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for row in rows:
        if label in row["metrics"]:
            mean, spread, seeds = row["metrics"][label]
            own = row["stderr"].get(label, 0.0)
            spread = own if seeds == 1 else half_interval(spread, seeds)
            figures[row["settings"][setting]] = mean, spread, seeds
    return figures


def _chart(
    setting: str, title: str, curves: Curves, colour: dict[str, int], crowded: bool
) -> Markup:
    width = WIDTH if len(curves) > _MANY or not crowded else WIDTH / 2 - 10
    drawn = {name: _finite(curve) for name, curve in curves.items()}
    lost = sum(map(len, curves.values())) - sum(map(len, drawn.values()))
    curves = {name: curve for name, curve in drawn.items() if curve}
    if not curves:
        return Markup()
    values = list(dict.fromkeys(value for curve in curves.values() for value in curve))
    counts = [n for curve in curves.values() for _, _, n in curve.values()]
    caption = f"{title} by {setting}"
    known = any(spread for curve in curves.values() for _, spread, _ in curve.values())
    if max(counts) > 1:
        caption += f": means over {counted_seeds(counts)}; whiskers: {INTERVAL}."
    elif known:
        caption += f"; whiskers: one standard error over questions; {_ONE_SEED}."
    else:
        caption += "; one seed."
    if lost:
        caption += f" Not drawn, as no number: {counted(lost, 'figure')}."
    numbers = {value: _number(value) for value in values}
    if None not in numbers.values():
        lines = []
        for place, (name, curve) in enumerate(curves.items()):
            points = sorted((numbers[v] or 0.0, mean, sd) for v, (mean, sd, _) in curve.items())
            lines.append(
                Line(
                    name=name,
                    points=[(x, mean) for x, mean, _ in points],
                    spread=[sd for _, _, sd in points],
                    colour=colour.get(name, place + 1),
                    marks=True,
                    dashed=len(points) > 1 and len({mean for _, mean, _ in points}) == 1,
                )
            )
        if any(line.dashed for line in lines):
            caption += " Dashed: not moved by it."
        return figure(
            responsive(partial(line_chart, lines, x_title=setting, y_title=title), width), caption
        )
    bars = [
        Bars(
            name=name,
            values=[curve[v][0] if v in curve else None for v in values],
            errors=[curve[v][1] if v in curve else None for v in values],
            colour=colour.get(name, place + 1),
        )
        for place, (name, curve) in enumerate(curves.items())
    ]
    chart = partial(bar_chart, values, bars, y_title=title, dots="loss" in title)
    return figure(responsive(chart, width), caption)


def _finite(curve: dict[str, Figure]) -> dict[str, Figure]:
    """Return the figures of a curve that can be drawn: a model may have diverged."""
    return {value: each for value, each in curve.items() if all(map(math.isfinite, each))}


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
