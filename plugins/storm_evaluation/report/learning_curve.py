"""The report's learning curve: scores of successively trained models over training tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from storm_evaluation.tasks.names import short_names
from storm_exp.report import CellRecord, Place, RunRecord, Section, StageRecord
from storm_report.chart import Line, line_chart
from storm_report.markup import figure, folded
from storm_report.shown import distinct
from storm_report.svg import responsive

_FEWEST = 3
"""The fewest evaluated models in a line of descent that are shown as a curve."""

Point = tuple[StageRecord, float, dict[str, Any]]
"""A model, its total training tokens, and its evaluation."""


def sections(run: RunRecord) -> list[Section]:
    """Return a curve for the longest line of descent of each cell with at least three models."""
    contents = {shown.stage.key: shown.contents for shown in distinct(run, "evaluation.json")}
    parts: dict[tuple[str, ...], tuple[str, list[Point]]] = {}
    for cell in run.cells:
        points = longest_line(cell, contents)
        if len(points) >= _FEWEST:
            keys = tuple(stage.key for stage, _, _ in points)
            parts.setdefault(keys, (cell.name or "evaluations", points))
    if not parts:
        return []
    html = folded([(label, curve(points)) for label, points in parts.values()])
    stage = next(iter(parts.values()))[1][-1][0].stage
    return [Section("Learning curve", html, stage=stage, place=Place.LEAD)]


def longest_line(cell: CellRecord, contents: dict[str, dict[str, Any]]) -> list[Point]:
    """Return the evaluated models of the line of descent with most of them, first to last.

    A line is followed backwards through the port `model`. Stages that do not train, such as
    pruning, add no tokens.
    """
    evaluations = {
        str(stage.inputs.get("model")): contents[stage.key]
        for stage in cell.stages
        if stage.key in contents
    }
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


def curve(points: list[Point]) -> Markup:
    """Return a chart of each task's scores, and their mean, over training tokens."""
    higher = [
        task for task, entry in points[0][2]["tasks"].items() if entry.get("higher_is_better", True)
    ]
    shown = short_names(points[0][2]["tasks"])
    lines = [
        Line(
            name=shown[task],
            points=[
                (tokens, evaluation["tasks"][task]["score"]) for _, tokens, evaluation in points
            ],
            colour=number,
            marks=True,
            faint=True,
        )
        for number, task in enumerate(higher)
    ]
    means = [(tokens, evaluation.get("mean")) for _, tokens, evaluation in points]
    if len(higher) > 1 and all(mean is not None for _, mean in means):
        known = [(tokens, float(mean)) for tokens, mean in means if mean is not None]
        lines.append(Line(name="mean", points=known, colour=len(higher), marks=True))
    names = ", ".join(f"{stage.label} at {tokens:,.0f}" for stage, tokens, _ in points)
    caption = f"Scores over the training tokens of each model in this recipe: {names}."
    draw = partial(line_chart, lines, x_title="tokens", y_title="score")
    return figure(responsive(draw), caption)
