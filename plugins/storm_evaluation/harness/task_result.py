"""What the harness found of one task: a score of every document, and how it was asked."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Self

import numpy as np

from storm_evaluation.evaluation import SAMPLES
from storm_evaluation.harness.right_answer import measure, right_choices
from storm_evaluation.sample import (
    Sample,
    hash_prompt,
    read_samples,
    shorten,
    shorten_front,
    write_samples,
)
from storm_exp import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """The scores of one leaf task's documents."""

    task: str
    metric: str
    higher_is_better: bool
    fewshot: int
    """Examples before each question."""
    description: dict[str, Any]
    """What affects scores besides the weights and the task's settings."""
    samples: list[Sample]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        fields = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        return cls(**fields, samples=list(read_samples(folder / SAMPLES)))

    def write(self, folder: Path) -> None:
        """Write the result as `task.json` and `samples.parquet`."""
        fields = {name: value for name, value in vars(self).items() if name != "samples"}
        (folder / "task.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")
        write_samples(folder / SAMPLES, self.samples)


def read_result(
    output: Any, name: str, task: Any, metric: str | None, description: dict[str, Any]
) -> TaskResult:
    """Return a task's result from the harness's output.

    `metric` is the metric to score by, where it is not the task's first. Raises InputError for one
    that is not a mean over documents.
    """
    known = list(task.aggregation())
    metric = metric or known[0]
    if metric not in known:
        raise InputError(f"by_task.metric: task {name} has no metric '{metric}' (has {known})")
    rows = _first_filter(output["samples"][name])
    reported = output["results"][name]
    means = [each for each in known if _is_mean(rows, each, reported)]
    if metric not in means:
        numbers = all(isinstance(row.get(metric), _NUMBERS) for row in rows)
        problem = "is not a mean over documents" if numbers else "gives no number per document"
        raise InputError(
            f"task {name}: metric '{metric}' {problem}; set another in `by_task.metric`"
        )
    names = document_names([f"{name}:{row['doc_hash']}" for row in rows])
    return TaskResult(
        task=name,
        metric=metric,
        higher_is_better=bool(output["higher_is_better"][name].get(metric, True)),
        fewshot=int(output["n-shot"][name] or 0),
        description=description,
        samples=[
            _sample(row, name, task, metric, means, document)
            for row, document in zip(rows, names, strict=True)
        ],
    )


_NUMBERS = (int, float, np.number, np.bool_)


def _first_filter(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [row for row in rows if row["filter"] == rows[0]["filter"]]
    return sorted(rows, key=lambda row: row["doc_id"])


def _is_mean(rows: list[dict[str, Any]], metric: str, reported: dict[str, Any]) -> bool:
    """Return whether the value that is reported of a metric is the mean of its documents'."""
    total: Any = reported.get(f"{metric},{rows[0]['filter']}")
    values: list[Any] = [row.get(metric) for row in rows]
    if not all(isinstance(value, _NUMBERS) for value in [total, *values]):
        return False
    return bool(abs(total - float(np.mean(values))) <= 1e-9 * max(1.0, abs(total)))


def document_names(hashes: list[str]) -> list[str]:
    """Return a short name per document, the same for every model; repeats are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for text in hashes:
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _sample(
    row: dict[str, Any], name: str, task: Any, metric: str, means: list[str], document: str
) -> Sample:
    """Return a document's sample; a choice is shown as its text, not its index."""
    answers, target = row["filtered_resps"], row["target"]
    prompt = str(row["arguments"][0][0])
    likelihoods: list[float] = []
    right: list[int] = []
    scored = isinstance(answers[0], list | tuple)
    if scored and task.OUTPUT_TYPE == "multiple_choice":
        choices = [str(choice) for choice in task.doc_to_choice(row["doc"])]
        likelihoods = [float(answer[0]) for answer in answers[: len(choices)]]
        right = right_choices(task, row["doc"], target, choices)
        prediction = choices[_chosen(likelihoods, choices, metric)]
        known = isinstance(target, int) and 0 <= target < len(choices)
        target = choices[target] if known else target
    elif scored:
        likelihoods, right = [float(answers[0][0])], [0]
        prediction = f"{likelihoods[0]:.4g}"
    else:
        prediction = answers[0] if len(answers) == 1 else answers
    values = {each: float(row[each]) for each in means} | measure(likelihoods, right)
    return Sample(
        task=name,
        document=document,
        score=float(row[metric]),
        prompt_hash=hash_prompt(prompt),
        prompt=shorten_front(prompt),
        prediction=shorten(prediction),
        target=shorten(target),
        log_likelihoods=likelihoods,
        metrics={each: value for each, value in values.items() if math.isfinite(value)},
    )


def _chosen(likelihoods: list[float], choices: list[str], metric: str) -> int:
    if metric == "acc_norm":
        pairs = zip(likelihoods, choices, strict=True)
        likelihoods = [value / max(1, len(choice)) for value, choice in pairs]
    return likelihoods.index(max(likelihoods))
