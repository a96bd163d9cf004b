"""Matching the scores of several models by document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from storm_evaluation.comparison.significance import Floats
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import MEASURES, Sample
from storm_exp import InputError


@dataclasses.dataclass(frozen=True)
class MatchedTask:
    """One task's scores: a row per model, a column per document."""

    name: str
    metric: str
    higher_is_better: bool
    scores_MN: Floats
    weights_MN: Floats


def match_documents(
    evaluations: Sequence[Evaluation], measure: str = "", *, names: Sequence[str] = ()
) -> list[MatchedTask]:
    """Return the evaluations' scores with each document in the same column for every model.

    With a `measure`, a metric that samples have beside their score and of which more is better,
    its values take the scores' place; tasks without it are left out. Raises InputError when the
    evaluations differ in tasks, metrics or documents, by their `names` or numbers, and when no task
    has the measure.
    """
    summaries = [evaluation.summary() for evaluation in evaluations]
    samples = [_by_task(evaluation) for evaluation in evaluations]
    tasks = list(summaries[0]["tasks"])
    for position, summary in enumerate(summaries):
        if set(summary["tasks"]) != set(tasks):
            counted = "" if names else " (counted from 0)"
            raise InputError(
                f"{_both(names, position)}{counted} are over different tasks: "
                f"{', '.join(tasks)} and {', '.join(summary['tasks'])}"
            )
    if measure:
        tasks = [task for task in tasks if all(_has(s, task, measure) for s in summaries)]
        if not tasks:
            raise InputError(f"no task has the measure '{measure}' of every document")
    return [
        _match_task(
            task, [s["tasks"][task] for s in summaries], [s[task] for s in samples], measure, names
        )
        for task in tasks
    ]


def shared_measures(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the measures that every evaluation has of any of its tasks."""
    summaries = [evaluation.summary() for evaluation in evaluations]
    return [
        measure
        for measure in MEASURES
        if any(all(_has(s, task, measure) for s in summaries) for task in summaries[0]["tasks"])
    ]


def _has(summary: dict[str, Any], task: str, measure: str) -> bool:
    return task in summary["tasks"] and measure in summary["tasks"][task]["metrics"]


def _by_task(evaluation: Evaluation) -> dict[str, dict[str, Sample]]:
    by_task: dict[str, dict[str, Sample]] = {}
    for sample in evaluation.samples():
        by_task.setdefault(sample.task, {})[sample.document] = sample
    return by_task


def _both(names: Sequence[str], position: int) -> str:
    """Return what the first evaluation and another are called."""
    if names:
        return f"the evaluations of {names[0]} and {names[position]}"
    return f"evaluations 0 and {position}"


def _match_task(
    task: str,
    entries: list[dict[str, object]],
    samples: list[dict[str, Sample]],
    measure: str,
    names: Sequence[str],
) -> MatchedTask:
    documents = list(samples[0])
    for position, (entry, model) in enumerate(zip(entries, samples, strict=True)):
        if entry["metric"] != entries[0]["metric"]:
            raise InputError(
                f"task {task}: {_both(names, position)} are scored by different metrics: "
                f"{entries[0]['metric']} and {entry['metric']}"
            )
        if set(model) != set(documents):
            shared = len(set(model) & set(documents))
            raise InputError(
                f"task {task}: {_both(names, position)} are over different documents "
                f"({len(documents)} and {len(model)}, {shared} of them the same)"
            )
    return MatchedTask(
        name=task,
        metric=measure or str(entries[0]["metric"]),
        higher_is_better=bool(measure or entries[0]["higher_is_better"]),
        scores_MN=np.array([[_value(model[n], measure) for n in documents] for model in samples]),
        weights_MN=np.array([[model[name].weight for name in documents] for model in samples]),
    )


def _value(sample: Sample, measure: str) -> float:
    return sample.metrics[measure] if measure else sample.score
