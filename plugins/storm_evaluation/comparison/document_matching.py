"""Matching the scores of several models by document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from storm_evaluation.comparison.significance import Floats
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample
from storm_exp import InputError


@dataclasses.dataclass(frozen=True)
class MatchedTask:
    """One task's scores: a row per model, a column per document."""

    name: str
    metric: str
    higher_is_better: bool
    scores_MN: Floats
    weights_MN: Floats


def match_documents(evaluations: Sequence[Evaluation]) -> list[MatchedTask]:
    """Return the evaluations' scores with each document in the same column for every model.

    Raises InputError when they differ in tasks, metrics or documents.
    """
    summaries = [evaluation.summary() for evaluation in evaluations]
    samples = [_by_task(evaluation) for evaluation in evaluations]
    tasks = list(summaries[0]["tasks"])
    for position, summary in enumerate(summaries):
        if set(summary["tasks"]) != set(tasks):
            raise InputError(
                f"evaluations 0 and {position} (counted from 0) are over different tasks: "
                f"{', '.join(tasks)} and {', '.join(summary['tasks'])}"
            )
    return [
        _match_task(task, [s["tasks"][task] for s in summaries], [s[task] for s in samples])
        for task in tasks
    ]


def _by_task(evaluation: Evaluation) -> dict[str, dict[str, Sample]]:
    by_task: dict[str, dict[str, Sample]] = {}
    for sample in evaluation.samples():
        by_task.setdefault(sample.task, {})[sample.document] = sample
    return by_task


def _match_task(
    task: str, entries: list[dict[str, object]], samples: list[dict[str, Sample]]
) -> MatchedTask:
    documents = list(samples[0])
    for position, (entry, model) in enumerate(zip(entries, samples, strict=True)):
        if entry["metric"] != entries[0]["metric"]:
            raise InputError(
                f"task {task}: evaluation 0 is scored by {entries[0]['metric']}, evaluation "
                f"{position} by {entry['metric']}"
            )
        if set(model) != set(documents):
            shared = len(set(model) & set(documents))
            raise InputError(
                f"task {task}: evaluations 0 and {position} are over different documents "
                f"({len(documents)} and {len(model)}, {shared} of them the same)"
            )
    return MatchedTask(
        name=task,
        metric=str(entries[0]["metric"]),
        higher_is_better=bool(entries[0]["higher_is_better"]),
        scores_MN=np.array([[model[name].score for name in documents] for model in samples]),
        weights_MN=np.array([[model[name].weight for name in documents] for model in samples]),
    )
