"""The report's learning curve: scores of successively trained models over training tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from storm_evaluation.report.score_curve import around, score_curve
from storm_evaluation.tasks.names import short_names
from storm_exp.report import CellRecord, Place, RunRecord, Section, StageRecord
from storm_report.cell_names import cell_name, seedless_settings
from storm_report.chart import Line, line_chart
from storm_report.interim import is_interim
from storm_report.markup import figure, folded
from storm_report.run_table import groups
from storm_report.seed_mean import INTERVAL, mean_curve
from storm_report.shown import distinct
from storm_report.svg import responsive

_FEWEST = 3
"""The fewest evaluated models in a line of descent that are shown as a curve."""

Point = tuple[StageRecord, float, dict[str, Any]]
"""A model, its total training tokens, and its evaluation."""


def sections(run: RunRecord) -> list[Section]:
    """Return a curve for the longest line of descent of cells with at least three models.

    Cells that differ in their seeds alone have one, if their lines are of the same stages.
    """
    contents = {shown.stage.key: shown.contents for shown in distinct(run, "evaluation.json")}
    parts: dict[tuple[str, ...], tuple[str, list[list[Point]]]] = {}
    for settings, (_, cells) in zip(seedless_settings(run), groups(run), strict=True):
        lines: dict[tuple[str, ...], list[list[Point]]] = {}
        for cell in cells:
            points = longest_line(cell, contents)
            if len(points) >= _FEWEST:
                lines.setdefault(tuple(s.label for s, _, _ in points), []).append(points)
        for line in lines.values():
            keys = {tuple(stage.key for stage, _, _ in points): points for points in line}
            label = cell_name(settings) if run.is_sweep else "evaluations"
            parts.setdefault(tuple(k for each in keys for k in each), (label, list(keys.values())))
    if not parts:
        return []
    html = folded([(label, curve(runs)) for label, runs in parts.values()])
    stage = next(iter(parts.values()))[1][0][-1][0].stage
    return [Section("Learning curve", html, stage=stage, place=Place.LEAD)]


def longest_line(cell: CellRecord, contents: dict[str, dict[str, Any]]) -> list[Point]:
    """Return the evaluated models of the line of descent with most of them, first to last.

    A line is followed backwards through the port `model`. Stages that do not train, such as
    pruning, add no tokens. Of several evaluators it is the one that evaluated most of a line.
    """
    by_evaluator: dict[str, dict[str, dict[str, Any]]] = {}
    for stage in cell.stages:
        if stage.key in contents and not is_interim(stage):
            models = by_evaluator.setdefault(stage.stage, {})
            models[str(stage.inputs.get("model"))] = contents[stage.key]
    lines = (_longest(cell, evaluations) for evaluations in by_evaluator.values())
    return max(lines, key=len, default=[])


def _longest(cell: CellRecord, evaluations: dict[str, dict[str, Any]]) -> list[Point]:
    best: list[Point] = []
    for key in evaluations:
        line, stage = [], cell.find(key)
        while stage is not None and stage.artifact == "Checkpoint":
            line.append(stage)
            stage = cell.find(str(stage.inputs.get("model")))
        points, tokens = [], 0.0
        for stage in reversed(line):
            tokens += stage.metrics.get("tokens", 0.0)
            if stage.key in evaluations:
                points.append((stage, tokens, evaluations[stage.key]))
        best = max(best, points, key=len)
    return best if len({tokens for _, tokens, _ in best}) > 1 else []


def curve(runs: list[list[Point]]) -> Markup:
    """Return a chart of each task's scores, and their mean, over training tokens.

    Of several runs it shows the means, and the interval of what is in front.
    """
    entries = runs[0][0][2]["tasks"]
    everywhere = set(entries).intersection(*(e["tasks"] for run in runs for _, _, e in run))
    higher = [
        task
        for task, entry in entries.items()
        if task in everywhere and entry.get("higher_is_better", True)
    ]
    shown = short_names(entries)
    lines = []
    courses = [[(tokens, e) for _, tokens, e in points] for points in runs]
    for number, task in enumerate(higher):
        points, ends = score_curve(courses, [task])
        lines.append(
            Line(
                name=shown[task],
                points=points,
                spread=around(points, ends) if len(higher) == 1 and len(runs) > 1 else [],
                colour=number,
                marks=True,
                faint=len(higher) > 1,
            )
        )
    evaluated = [e.get("mean") for points in runs for _, _, e in points]
    if len(higher) > 1 and all(mean is not None for mean in evaluated):
        points, ends = score_curve(courses, higher)
        spread = around(points, ends) if len(runs) > 1 else []
        lines.append(
            Line(name="mean", points=points, spread=spread, colour=len(higher), marks=True)
        )
    places, _ = mean_curve([[(tokens, 0.0) for _, tokens, _ in points] for points in runs])
    names = ", ".join(
        f"{stage.label} at {tokens:,.0f}"
        for (stage, _, _), (tokens, _) in zip(runs[0], places, strict=True)
    )
    caption = f"Scores over the training tokens of each model in this recipe: {names}."
    if len(runs) > 1:
        caption += f" Means over {len(runs)} seeds; whiskers: {INTERVAL}."
    draw = partial(line_chart, lines, x_title="tokens", y_title="score")
    return figure(responsive(draw), caption)
