"""The harness's results as samples with one score each."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from typing import Any

import numpy as np

from storm_evaluation.evaluation import Sample, shorten, shorten_front
from storm_exp import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarnessResult:
    """The scores of all documents, and how the tasks were evaluated."""

    samples: list[Sample]
    metrics: dict[str, tuple[str, bool]]
    """Task → (metric, whether higher is better), in the order of the settings."""
    fewshot: dict[str, int]
    """Task or subtask → number of examples."""
    scored_by: dict[str, str]
    """Task or subtask → metric."""


def collect(
    result: Any, members: dict[str, list[str]], tasks: dict[str, Any], chosen: dict[str, str]
) -> HarnessResult:
    """Return each task's metric from the harness's result.

    `members` gives the leaf tasks of each requested name, `chosen` the metrics of leaf
    tasks where they are not the first. Raises InputError for a metric that is not a mean over
    documents.
    """
    samples: list[Sample] = []
    metrics: dict[str, tuple[str, bool]] = {}
    scored_by: dict[str, str] = {}
    for requested, leaves in members.items():
        for leaf in leaves:
            metric = scored_by[leaf] = _metric(leaf, tasks[leaf], chosen)
            rows = _first_filter(result["samples"][leaf])
            scores = [_score(row, metric, leaf) for row in rows]
            _check_mean(result["results"][leaf], metric, rows, scores, leaf)
            better = bool(result["higher_is_better"][leaf].get(metric, True))
            if metrics.setdefault(requested, (metric, better)) != (metric, better):
                raise InputError(
                    f"task {requested}: its parts are scored by {metrics[requested][0]} and "
                    f"{metric}; set one for all in by_task.metric.{requested}"
                )
            names = document_names([f"{leaf}:{row['doc_hash']}" for row in rows])
            for row, score, name in zip(rows, scores, names, strict=True):
                prompt, prediction, target = _shown(row, metric, tasks[leaf])
                samples.append(
                    Sample(
                        task=requested,
                        document=name,
                        score=score,
                        subtask=leaf if leaf != requested else "",
                        prompt=shorten_front(prompt),
                        prediction=prediction,
                        target=target,
                    )
                )
    fewshot = {name: int(count or 0) for name, count in result["n-shot"].items()}
    return HarnessResult(samples=samples, metrics=metrics, fewshot=fewshot, scored_by=scored_by)


def _metric(leaf: str, task: Any, chosen: dict[str, str]) -> str:
    known = list(task.aggregation())
    metric: str = chosen.get(leaf, known[0])
    if metric not in known:
        raise InputError(f"by_task.metric: task {leaf} has no metric '{metric}' (has {known})")
    return metric


def _first_filter(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [row for row in rows if row["filter"] == rows[0]["filter"]]
    return sorted(rows, key=lambda row: row["doc_id"])


def _score(row: dict[str, Any], metric: str, task: str) -> float:
    value = row.get(metric)
    if not isinstance(value, int | float | np.number | np.bool_):
        raise InputError(
            f"task {task}: metric '{metric}' gives no number per document; set another in "
            f"`by_task.metric`"
        )
    return float(value)


def _check_mean(
    results: dict[str, Any],
    metric: str,
    rows: list[dict[str, Any]],
    scores: list[float],
    task: str,
) -> None:
    reported = float(results[f"{metric},{rows[0]['filter']}"])
    if abs(reported - float(np.mean(scores))) > 1e-9 * max(1.0, abs(reported)):
        raise InputError(
            f"task {task}: metric '{metric}' is not a mean over documents; set another in "
            f"`by_task.metric`"
        )


def document_names(hashes: list[str]) -> list[str]:
    """Return a short name per document, the same for every model; repeats are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for text in hashes:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _shown(row: dict[str, Any], metric: str, task: Any) -> tuple[str, str, str]:
    """Return prompt, prediction and target as texts; a choice as its text, not its index."""
    answers, target = row["filtered_resps"], row["target"]
    prompt = str(row["arguments"][0][0])
    if not isinstance(answers[0], list | tuple):
        return prompt, shorten(answers[0] if len(answers) == 1 else answers), shorten(target)
    likelihoods = [float(answer[0]) for answer in answers]
    if task.OUTPUT_TYPE != "multiple_choice":
        return prompt, f"{likelihoods[0]:.4g}", shorten(target)
    choices = [str(choice) for choice in task.doc_to_choice(row["doc"])]
    if metric == "acc_norm":
        pairs = zip(likelihoods, choices, strict=False)
        likelihoods = [value / max(1, len(choice)) for value, choice in pairs]
    chosen = choices[likelihoods.index(max(likelihoods[: len(choices)]))]
    known = isinstance(target, int) and 0 <= target < len(choices)
    return prompt, shorten(chosen), shorten(choices[target] if known else target)
