"""The report's section on evaluations: all models over all tasks, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from storm_evaluation.report.lineup import Lineup
from storm_evaluation.report.over_runs import difference_cells
from storm_evaluation.report.steps import in_a_sentence, step_differences
from storm_evaluation.tasks.names import short_names
from storm_evaluation.tasks.record import COLUMNS, rows_of
from storm_exp.report import Place, RunRecord, Section
from storm_report.chart import Bars, bar_chart
from storm_report.markup import figure, folded, table
from storm_report.score_interval import shown_score
from storm_report.shown import colours
from storm_report.svg import WIDTH, responsive

_MEAN = "mean"
_NOTHING = "they come from a rehearsal and have no meaning."


def sections(run: RunRecord, lineups: Sequence[Lineup]) -> list[Section]:
    """Return the figure of all models over all tasks, and the paired differences."""
    if not lineups:
        return []
    palette = colours(run)
    for lineup in lineups:
        lineup.rehearsed = bool(run.rehearsal)
    parts = [(lineup.label, _part(lineup, palette)) for lineup in lineups]
    stage = lineups[0].stages[0].stage
    return [Section("Models over tasks", folded(parts), stage=stage, place=Place.LEAD)]


def _part(lineup: Lineup, palette: dict[str, int]) -> Markup:
    """Return a lineup's charts and tables; a rehearsal's have no ranks, differences or verdicts."""
    html = scores(lineup, palette) + _asked(lineup)
    return html if lineup.rehearsed else in_words(lineup) + html + differences(lineup, palette)


def in_words(lineup: Lineup) -> Markup:
    """Return a sentence on which steps helped, or on differences to the first model."""
    comparison = lineup.comparison or {}
    measure = "mean" if comparison.get("mean") else "loss"
    rows = step_differences(comparison, lineup.steps(), measure)
    if not rows:
        rows = [
            (entry["first"], entry["second"], entry[measure])
            for entry in comparison.get("against_first") or []
            if entry.get(measure)
        ]
    text = in_a_sentence([(lineup.name(a), lineup.name(b), cell) for a, b, cell in rows])
    if not text:
        return Markup()
    figures = "mean over tasks" if measure == "mean" else "loss, lower is better"
    scope = "the arms, over runs" if lineup.runs > 1 else "these trained models, one run each,"
    return Markup("<p class='lead'><strong>{}</strong> ({}; for {} over questions.)</p>").format(
        text, figures, scope
    )


def scores(lineup: Lineup, palette: dict[str, int]) -> Markup:
    """Return a bar chart per kind of metric, with error bars of one standard error, and a table."""
    tasks = lineup.tasks()
    shares = [t for t, e in tasks.items() if e.get("higher_is_better", True)]
    losses = [t for t in tasks if t not in shares]
    charts = Markup()
    beside = bool(losses) and 0 < len(shares) < 3 and len(losses) < 3
    for names in (shares, losses):
        if not names:
            continue
        means = names is shares and len(names) > 1
        groups = [*names, _MEAN] if means else names
        bars = [
            Bars(
                name=lineup.name(position),
                values=[_entry(lineup, position, g).get("score") for g in groups],
                errors=[_entry(lineup, position, g).get("stderr") for g in groups],
                colour=palette.get(lineup.name(position), position),
            )
            for position in range(lineup.models)
        ]
        metrics = ", ".join(dict.fromkeys(tasks[name]["metric"] for name in names))
        sizes = ", ".join(f"{name} {tasks[name]['n']:,}" for name in names)
        better = "higher" if names is shares else "lower"
        caption = (
            f"Scores ({better} is better) with one standard error. Documents: {sizes}. "
            f"Metric: {metrics}."
        )
        if means:
            caption += " The mean is over tasks."
        if names is losses:
            caption += " The axis need not begin at zero."
        width = WIDTH / 2 - 10 if beside else WIDTH
        shown = [_shown(tasks, group) for group in groups]
        chart = partial(bar_chart, shown, bars, y_title=metrics, dots=names is losses)
        charts += figure(responsive(chart, width), caption)
    html = Markup('<div class="columns">{}</div>').format(charts)
    return html + _score_table(
        lineup, [*shares, *([_MEAN] if len(shares) > 1 else []), *losses], palette
    )


def _entry(lineup: Lineup, position: int, task: str) -> dict[str, Any]:
    """Return a model's score and standard error on a task, or for the mean over tasks."""
    if task != _MEAN:
        if lineup.comparison and lineup.runs > 1:
            return dict(lineup.comparison["tasks"][task]["scores"][position])
        return dict(lineup.evaluations[position]["tasks"].get(task, {}))
    if lineup.comparison and lineup.comparison.get("mean"):
        return dict(lineup.comparison["mean"][position])
    return {"score": lineup.evaluations[position].get("mean")}


def _shown(tasks: Iterable[str], column: str) -> str:
    return short_names(tasks).get(column, column)


def _score_table(lineup: Lineup, columns: list[str], palette: dict[str, int]) -> Markup:
    tasks, rows = lineup.tasks(), []
    best = {}
    for column in columns:
        entries = [_entry(lineup, p, column).get("score") for p in range(lineup.models)]
        known = [float(score) for score in entries if score is not None]
        higher = tasks.get(column, {}).get("higher_is_better", True)
        best[column] = (max if higher else min)(known) if known else None
    for position in range(lineup.models):
        row: list[Any] = [_model(lineup, position, palette)]
        for column in columns:
            entry = _entry(lineup, position, column)
            score, error = entry.get("score"), entry.get("stderr")
            documents = tasks[column]["n"] if column in tasks and lineup.runs == 1 else 0
            text = "" if score is None else shown_score(score, error, documents)
            first = score == best[column] and not lineup.rehearsed
            row.append(_strong(text) if first else text)
        rows.append(row)
    caption = "The same scores ± one standard error"
    if any("[" in str(text) for row in rows for text in row):
        caption += " (where no answer differs from the others, the 95 % interval, Wilson's)"
    caption += f"; {_NOTHING if lineup.rehearsed else 'the best of each column is bold.'}"
    header = ["model", *(_shown(tasks, column) for column in columns)]
    return figure(table(header, rows, "scores"), caption)


def _strong(text: str) -> Markup:
    return Markup("<strong>{}</strong>").format(text) if text else Markup()


def _model(lineup: Lineup, position: int, palette: dict[str, int]) -> Markup:
    name = lineup.name(position)
    colour = palette.get(name, position)
    return Markup('<span class="swatch s{}"></span>{}').format(colour, name)


def differences(lineup: Lineup, palette: dict[str, int]) -> Markup:
    """Return the paired differences to the first model, of the means and task by task."""
    against = (lineup.comparison or {}).get("against_first") or []
    if not against or lineup.comparison is None:
        return Markup()
    settings = lineup.comparison.get("settings", {})
    confidence, margin = settings.get("confidence", 0.95), settings.get("margin", 0.02)
    header = ["model", "difference", f"{confidence:.0%} interval", "p (Holm)", "verdict"]
    html = Markup()
    for measure, words in (("mean", "the mean over tasks"), ("loss", "the loss, lower is better")):
        lines = [
            [_model(lineup, entry["second"], palette), *difference_cells(entry[measure], margin)]
            for entry in against
            if entry.get(measure)
        ]
        if lines:
            caption = f"Differences to {lineup.name(0)} in {words}. {_scope(lineup)}"
            html += figure(table(header, lines), caption)
    html += _step_table(lineup, palette, header[1:], margin)
    rows = [
        [_model(lineup, entry["second"], palette), task, *difference_cells(cell, margin)]
        for entry in against
        for task, cell in entry["tasks"].items()
    ]
    tests = ", ".join(dict.fromkeys(c["test"] for e in against for c in e["tasks"].values()))
    caption = f"The same by task; Holm's correction is over all rows. Tests: {tests}."
    inner = figure(table(["model", "task", *header[1:]], rows), caption)
    fold = Markup("<details><summary>Differences by task</summary>{}</details>")
    return html + fold.format(inner)


def _step_table(
    lineup: Lineup, palette: dict[str, int], header: list[str], margin: float
) -> Markup:
    """Return the differences of every model to those that it was made from."""
    html = Markup()
    for measure, words in (("mean", "the mean over tasks"), ("loss", "the loss, lower is better")):
        lines = [
            [_model(lineup, b, palette), lineup.name(a), *difference_cells(cell, margin)]
            for a, b, cell in step_differences(lineup.comparison or {}, lineup.steps(), measure)
        ]
        if lines:
            caption = (
                f"Step by step: every model against those that it was made from, in {words}; "
                "Holm's correction over all pairs of models."
            )
            html += figure(table(["model", "made from", *header], lines), caption)
    return html


def _asked(lineup: Lineup) -> Markup:
    """Return the tasks' settings, where they are the same for all models."""
    tables = [rows_of(evaluation) for evaluation in lineup.evaluations]
    if not tables[0] or any(rows != tables[0] for rows in tables):
        return Markup()
    inner = table(COLUMNS, tables[0])
    return Markup("<details><summary>Settings of every task</summary>{}</details>").format(inner)


def _scope(lineup: Lineup) -> str:
    """Return what the differences hold for: these trained models, or the arms."""
    if lineup.runs > 1:
        return (
            f"Over {lineup.runs} runs of each and over questions, with Holm's correction over the "
            "models. Green and red: significant after the correction."
        )
    return (
        "Paired by document: bootstrap intervals, permutation or McNemar's test, Holm's "
        "correction over the models. Green and red: significant after the correction. With one run "
        "each, this holds for these trained models, over questions; after another training the "
        "differences may be others (-m seed=0,1,2 shows how much)."
    )
