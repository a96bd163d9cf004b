"""The report's curves of trainings: scores over optimiser steps, by their interim models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_evaluation.interim.records import Curve, curves
from storm_evaluation.report.score_curve import Ends, around, score_curve
from storm_evaluation.tasks.names import short_names
from storm_exp.report import Place, RunRecord, Section
from storm_report.cell_names import cell_name, seedless_settings
from storm_report.chart import Line, line_chart
from storm_report.markup import figure, folded, number, table
from storm_report.run_table import groups
from storm_report.seed_mean import INTERVAL, mean_curve
from storm_report.shown import distinct
from storm_report.svg import responsive

MEAN = "mean"
_QUESTIONS = "95 % intervals over questions (of shares Wilson's, else ± 1.96 standard errors)"

Runs = list[Curve]
"""The curves of one setting, of a seed each."""


def sections(run: RunRecord) -> list[Section]:
    """Return the curves of every training with interim models, of a sweep those of all cells."""
    contents = {shown.stage.key: shown.contents for shown in distinct(run, "evaluation.json")}
    found: dict[tuple[str, str], dict[str, Runs]] = {}
    for settings, (_, cells) in zip(seedless_settings(run), groups(run), strict=True):
        for cell in cells:
            for which, points in curves(cell, contents).items():
                runs = found.setdefault(which, {}).setdefault(cell_name(settings), [])
                if points not in runs:  # cells may differ behind the training alone
                    runs.append(points)
    if not found:
        return []
    several = len({evaluator for _, evaluator in found}) > 1
    parts = [
        (f"{training} · {evaluator}" if several else training, part(_told_apart(by_setting)))
        for (training, evaluator), by_setting in found.items()
    ]
    return [Section("Scores over training steps", folded(parts), place=Place.LEAD)]


def _told_apart(by_setting: Mapping[str, Runs]) -> dict[str, Runs]:
    """Return settings whose curves differ, those of cells that share a training together."""
    by_curve: dict[str, tuple[list[str], Runs]] = {}
    for setting, runs in by_setting.items():
        by_curve.setdefault(repr(runs), ([], runs))[0].append(setting)
    return {
        " and ".join(settings) if len(settings) < len(by_setting) else "": runs
        for settings, runs in by_curve.values()
    }


def part(by_setting: Mapping[str, Runs]) -> Markup:
    """Return charts and a table: of one setting a curve per task, of several one for each."""
    asked = [point.evaluation["tasks"] for runs in by_setting.values() for c in runs for point in c]
    entries = {task: asked[0][task] for task in asked[0] if all(task in each for each in asked)}
    higher = [task for task, entry in entries.items() if entry.get("higher_is_better", True)]
    losses = [task for task in entries if task not in higher]
    html = Markup()
    if higher:
        html += _chart(by_setting, higher, entries, better="higher")
    if losses:
        html += _chart(by_setting, losses, entries, better="lower")
    return html + _table(by_setting, higher, losses, entries)


def _chart(
    by_setting: Mapping[str, Runs],
    tasks: Sequence[str],
    entries: Mapping[str, Any],
    *,
    better: str,
) -> Markup:
    shown = short_names(entries)
    one = len(by_setting) == 1
    measures = [[task] for task in tasks] if one else []
    if len(tasks) > 1 or not one:
        measures.append(list(tasks))
    lines: list[Line] = []
    for setting, runs in by_setting.items():
        for measured in measures:
            front = measured == measures[-1]
            points, ends = _course(runs, measured)
            name = shown[measured[0]] if len(measured) == 1 else MEAN
            lines.append(
                Line(
                    name=name if one else setting,
                    points=points,
                    spread=around(points, ends) if front else [],
                    colour=len(lines),
                    marks=True,
                    faint=not front,
                )
            )
    metrics = ", ".join(dict.fromkeys(entries[task]["metric"] for task in tasks))
    seeds = max(len(runs) for runs in by_setting.values())
    over = f"means over {seeds} seeds; whiskers: {INTERVAL}" if seeds > 1 else _QUESTIONS
    what = "mean over tasks" if len(tasks) > 1 else shown[tasks[0]]
    caption = f"Scores ({better} is better) of the model after so many optimiser steps; {over}"
    caption += f" of the {what}." if seeds == 1 else "."
    draw = partial(line_chart, lines, x_title="steps", y_title=metrics)
    return figure(responsive(draw), caption)


def _course(runs: Runs, tasks: Sequence[str]) -> tuple[Ends, Ends]:
    """Return the mean over runs at each step, and its interval: over runs or questions."""
    return score_curve([[(p.steps, p.evaluation) for p in run] for run in runs], tasks)


def _table(
    by_setting: Mapping[str, Runs],
    higher: Sequence[str],
    losses: Sequence[str],
    entries: Mapping[str, Any],
) -> Markup:
    shown = short_names(entries)
    columns = [[task] for task in (*higher, *losses)]
    if len(higher) > 1:
        columns.insert(0, list(higher))
    names = [MEAN if len(column) > 1 else shown[column[0]] for column in columns]
    named = len(by_setting) > 1
    rows = []
    for setting, runs in by_setting.items():
        courses = [_course(runs, column) for column in columns]
        tokens, _ = mean_curve([[(point.steps, point.tokens) for point in run] for run in runs])
        for position, (steps, read) in enumerate(tokens):
            scores = [_shown(points[position][1], *ends[position]) for points, ends in courses]
            rows.append([*([setting] if named else []), number(steps), number(read), *scores])
    return table([*(["cell"] if named else []), "steps", "tokens", *names], rows)


def _shown(score: float, low: float, high: float) -> str:
    return f"{score:.3f} [{low:.3f}, {high:.3f}]" if low < high else f"{score:.3f}"
