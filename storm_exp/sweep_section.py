"""The report's section on a sweep: its table, and a curve for every metric that moved."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from storm_exp.chart import Bars, Line, bar_chart, line_chart
from storm_exp.record import RunRecord
from storm_exp.report import Section, figure, table
from storm_exp.sweep import main_metrics, summarise, sweep_table

Curve = tuple[str, list[dict[str, Any]]]
"""A name, and the rows of the sweep's table that it runs through."""


def sweep_section(record: RunRecord) -> Section:
    """Return table and curves: one chart per metric and setting that takes several values."""
    settings, varying, rows = summarise(record)
    html = Markup()
    for setting in settings:
        values = list(dict.fromkeys(row["settings"][setting] for row in rows))
        if len(values) > 1:
            for title, labels in panels(record, varying, alone=len(settings) == 1):
                html += _panel(setting, values, title, labels, rows)
    header, lines = sweep_table(record)
    seeds = max((len(row["cells"]) for row in rows), default=1)
    note = f"{len(record.cells)} cells" + (
        f", mean ± standard deviation of {seeds} seeds" * (seeds > 1)
    )
    html += figure(table(header, lines), f"{note}. All metrics: sweep.csv in this folder.")
    return Section("Sweep", html, lead=True)


def panels(record: RunRecord, varying: list[str], alone: bool) -> list[tuple[str, list[str]]]:
    """Return (title, labels) per chart.

    With one setting, all stages with the same main metric share a chart, also those that the
    setting does not move, for comparison; else every stage that moves has its own.
    """
    names = {
        stage.label: stage.main_metric
        for cell in record.cells
        for stage in cell.stages
        if stage.main_metric in stage.metrics
    }
    if not alone:
        return [(f"{names[label]} of {label}", [label]) for label in varying]
    moved = dict.fromkeys(names[label] for label in varying)
    everywhere = set.intersection(*({*main_metrics(cell)} for cell in record.cells))
    return [
        (name, [x for x in names if names[x] == name and (x in varying or x in everywhere)])
        for name in moved
    ]


def _panel(
    setting: str, values: list[str], title: str, labels: list[str], rows: list[dict[str, Any]]
) -> Markup:
    curves: dict[str, list[tuple[str, tuple[float, float, int]]]] = {}
    for label in labels:
        for row in rows:
            others = [f"{k}={v}" for k, v in row["settings"].items() if k != setting]
            name = " · ".join([label, *others] if len(labels) > 1 else others or [label])
            if label in row["metrics"]:
                point = row["settings"][setting], row["metrics"][label]
                curves.setdefault(name, []).append(point)
    numbers = {value: _number(value) for value in values}
    most = max((n for points in curves.values() for _, (_, _, n) in points), default=1)
    spread = f"; whiskers: standard deviation over {most} seeds" if most > 1 else ""
    if all(number is not None for number in numbers.values()):
        lines = []
        for place, (name, points) in enumerate(curves.items()):
            ordered = sorted((numbers[v] or 0.0, mean, sd) for v, (mean, sd, _) in points)
            lines.append(
                Line(
                    name=name,
                    points=[(x, mean) for x, mean, _ in ordered],
                    spread=[sd for _, _, sd in ordered],
                    colour=place,
                    marks=True,
                    dashed=len(ordered) > 1 and len({mean for _, mean, _ in ordered}) == 1,
                )
            )
        chart = line_chart(lines, x_title=setting, y_title=title)
        return figure(chart, f"{title} over {setting}{spread}. Dashed: what it does not move.")
    bars = []
    for place, (name, points) in enumerate(curves.items()):
        found = dict(points)
        bars.append(
            Bars(
                name=name,
                values=[found[v][0] if v in found else None for v in values],
                errors=[found[v][1] if v in found else None for v in values],
                colour=place,
            )
        )
    return figure(bar_chart(values, bars, y_title=title), f"{title} by {setting}{spread}.")


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
