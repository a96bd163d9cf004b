"""The report's section on scores with and without questions that training data held."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

from markupsafe import Markup

from storm_data.decontamination.hits import SUMMARY, read_hits
from storm_data.questions.questions import Questions
from storm_evaluation.evaluation import SAMPLES, Evaluation
from storm_evaluation.report.lineup import Lineup
from storm_evaluation.sample import Sample
from storm_exp.report import CellRecord, RunRecord, Section, StageRecord
from storm_report.markup import figure, folded, table

if TYPE_CHECKING:
    from storm_evaluation.comparison.untouched import Split, TouchedTask

_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A document with a model's score, the mean of its runs."""

    sample: Sample
    score: float
    touched: bool


_ByTask = dict[str, dict[str, _Asked]]


def sections(run: RunRecord, lineups: Sequence[Lineup]) -> list[Section]:
    """Return a section where a run has a decontaminator that found questions, and evaluations."""
    parts: list[tuple[str, Markup]] = []
    stage = ""
    for lineup in [] if run.rehearsal else lineups:
        for found in lineup.cell.stages:
            if found.read(SUMMARY) is not None and (html := scores(lineup, found)):
                parts.append((f"{lineup.label}: questions found by {found.label}", html))
                stage = stage or lineup.stages[0].stage
    if not parts:
        return []
    return [Section("Scores without touched questions", folded(parts), stage=stage)]


def scores(lineup: Lineup, decontaminator: StageRecord) -> Markup:
    """Return scores on all and on untouched questions, of models and of their differences.

    Nothing where no question of the evaluations was held by a row.
    """
    ids = {hit.question for hit in read_hits(Path(decontaminator.directory))}
    models = [_asked(lineup, position, ids) for position in range(lineup.models)]
    if not models or not any(a.touched for task in models[0].values() for a in task.values()):
        return Markup()
    better = {t: e.get("higher_is_better", True) for t, e in lineup.tasks().items()}
    html, gone = Markup(), []
    for measure, wanted in (("the mean over tasks", True), ("the loss, lower is better", False)):
        names = [task for task in models[0] if better.get(task, True) is wanted]
        held = [task for task in names if all(a.touched for a in models[0][task].values())]
        gone += held
        if left := [task for task in names if task not in held]:
            html += _tables(lineup, decontaminator, models, left, measure)
    documents = {d: asked for task in models[0].values() for d, asked in task.items()}
    count = sum(asked.touched for asked in documents.values())
    searched = _searched(lineup.cell, decontaminator)
    unknown = sum(searched.isdisjoint(_names(document)) for document in documents)
    others = f" {unknown:,} others were not searched for." if unknown else ""
    if gone:
        others += f" Of {', '.join(gone)} all are, so nothing below is of these."
    note = Markup("<p class='note'>{}</p>").format(
        f"{count:,} of {len(documents):,} questions of the evaluation are held by rows that "
        f"{decontaminator.label} searched.{others} Intervals of {_CONFIDENCE:.0%} are over "
        "questions, for these trained models."
    )
    return note + html


def _tables(
    lineup: Lineup,
    decontaminator: StageRecord,
    models: list[_ByTask],
    names: list[str],
    measure: str,
) -> Markup:
    from storm_evaluation.comparison.untouched import split

    rows, differences = [], []
    for position, model in enumerate(models):
        if not model.keys() >= set(names):  # another evaluator's
            continue
        known = split([_task(model[name].values()) for name in names], _Z)
        if known is None:
            return Markup()
        key = str(lineup.stages[position * lineup.runs].inputs.get("model", ""))
        had = "had them" if was_trained_on(lineup.cell, key, decontaminator) else "without them"
        rows.append([lineup.name(position), had, *_cells(known)])
        if position:
            paired = split([_task(_difference(models[0][t], model[t])) for t in names], _Z)
            if paired is not None:
                differences.append([lineup.name(position), *_cells(paired, "+")])
    header = ["all questions", "untouched only", "what touched ones add", "interval"]
    html = figure(
        table(["model", "training data", *header], rows),
        f"In {measure}: scores on all questions, and on those that no row held. Both kinds of "
        "questions may differ in difficulty: compare models that had them with those that had not.",
    )
    if differences:
        caption = f"Differences to {lineup.name(0)} in {measure}, paired by question."
        html += figure(table(["model", *header], differences), caption)
    return html


def was_trained_on(cell: CellRecord, model: str, decontaminator: StageRecord) -> bool:
    """Return whether a model was made from rows with the questions that were found.

    That is from the data that a decontaminator searched without going through it, or from what it
    only marked.
    """
    summary = decontaminator.read(SUMMARY) or {}
    searched = decontaminator.inputs.get("data")
    seen, waiting = set(), [model]
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        if key == searched or (key == decontaminator.key and summary.get("marked")):
            return True
        stage = cell.find(key)
        if stage is not None and key != decontaminator.key:
            for inputs in stage.inputs.values():
                waiting += [inputs] if isinstance(inputs, str) else inputs
    return False


def _searched(cell: CellRecord, decontaminator: StageRecord) -> set[str]:
    """Return the ids of the questions that a decontaminator was given."""
    given = decontaminator.inputs.get("questions", [])
    stages = [cell.find(key) for key in ([given] if isinstance(given, str) else given)]
    folders = [Path(stage.directory) for stage in stages if stage is not None]
    return {question.id for folder in folders for question in Questions(folder).questions()}


def _asked(lineup: Lineup, position: int, ids: set[str]) -> _ByTask:
    """Return a model's documents by task, with the mean of its runs."""
    stages = lineup.stages[position * lineup.runs : (position + 1) * lineup.runs]
    runs: dict[tuple[str, str], list[Sample]] = {}
    for stage in stages:
        if Path(stage.directory, SAMPLES).is_file():
            for sample in Evaluation(Path(stage.directory)).samples():
                runs.setdefault((sample.task, sample.document), []).append(sample)
    by_task: _ByTask = {}
    for (task, document), samples in runs.items():
        score = sum(sample.score for sample in samples) / len(samples)
        touched = not ids.isdisjoint(_names(document))
        by_task.setdefault(task, {})[document] = _Asked(samples[0], score, touched)
    return by_task


def _names(document: str) -> tuple[str, ...]:
    """Return what a document's question may be called: held-out rows are scored turn by turn."""
    chosen = document.partition("/")[0]
    return document, chosen, chosen.rpartition("-")[0]


def _difference(first: Mapping[str, _Asked], second: Mapping[str, _Asked]) -> list[_Asked]:
    return [
        dataclasses.replace(asked, score=asked.score - first[document].score)
        for document, asked in second.items()
        if document in first
    ]


def _task(asked: Iterable[_Asked]) -> TouchedTask:
    import numpy as np

    from storm_evaluation.comparison.untouched import TouchedTask

    listed = list(asked)
    return TouchedTask(
        scores_N=np.array([each.score for each in listed], np.float64),
        weights_N=np.array([each.sample.weight for each in listed], np.float64),
        touched_N=np.array([each.touched for each in listed], np.bool_),
    )


def _cells(known: Split, sign: str = "") -> list[str]:
    # "z": no minus before what is rounded to zero
    return [
        f"{known.every:{sign}z.3f}",
        f"{known.untouched:{sign}z.3f}",
        f"{known.gain:+z.3f}",
        f"[{known.low:+z.3f}, {known.high:+z.3f}]",
    ]
