"""The artifact of an evaluation: one model's scores on tasks, with the score of every document."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from storm_evaluation.sample import Sample, read_samples, write_samples
from storm_exp import Artifact, InputError, Spec
from storm_report.counted import counted

SAMPLES = "samples.parquet"


@dataclasses.dataclass(kw_only=True)
class EvaluationSpec(Spec):
    """What is known of an evaluation before it is run."""

    tasks: list[str] | None = None
    documents: int | None = None

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether the same tasks were asked, in whatever order."""
        if field == "tasks":
            return sorted(planned) == sorted(made)
        return super().agrees(field, planned, made)

    def summary(self) -> str:
        """Return, for example, `4 tasks, 600 documents`."""
        if self.tasks is None:
            return ""
        count = counted(len(self.tasks), "task")
        return count if self.documents is None else f"{count}, {self.documents} documents"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskScore:
    """A task's mean over its documents."""

    metric: str
    score: float
    stderr: float | None
    """Standard error of the mean; None when there is one document."""
    n: int
    higher_is_better: bool = True
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """The means of all metrics that every document has, the score's among them."""


class Evaluation(Artifact):
    """`evaluation.json` with the tasks' scores, `samples.parquet` with a row per document."""

    spec_type = EvaluationSpec

    def summary(self) -> dict[str, Any]:
        """Return evaluation.json: `tasks`, `mean`, `settings`, `harness`, `examples`."""
        file = self.directory / "evaluation.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.directory}: no readable evaluation.json ({error})") from error
        if not isinstance(content, dict):
            raise InputError(f"{file}: expected a JSON object")
        return content

    def samples(self) -> Iterator[Sample]:
        """Yield the documents' scores, task by task, in the order of the documents."""
        yield from read_samples(self.directory / SAMPLES)

    def questions(self) -> str:
        """Return a digest of the evaluated documents, independent of their order."""
        documents = sorted(f"{sample.task}\0{sample.document}" for sample in self.samples())
        return hashlib.sha256("\n".join(documents).encode()).hexdigest()[:16]

    def spec(self) -> EvaluationSpec:
        """Return the names of the tasks and the number of documents."""
        tasks = self.summary()["tasks"]
        return EvaluationSpec(
            tasks=list(tasks), documents=sum(entry["n"] for entry in tasks.values())
        )

    def write(
        self,
        metrics: dict[str, tuple[str, bool]],
        samples: Iterable[Sample],
        settings: dict[str, Any],
        harness: str,
    ) -> dict[str, TaskScore]:
        """Write both files and return the scores.

        `metrics` gives each task's metric and whether higher is better, in the order in which tasks
        are shown. Raises InputError for a task without documents or weight, and for scores that
        are no numbers.
        """
        rows = list(samples)
        scores: dict[str, TaskScore] = {}
        for task, (metric, higher_is_better) in metrics.items():
            own = [row for row in rows if row.task == task]
            if not own:
                raise InputError(f"task {task}: no documents were scored")
            if lost := sum(not math.isfinite(row.score) for row in own):
                raise InputError(
                    f"task {task}: the scores of {lost} of {counted(len(own), 'document')} are no "
                    "numbers, as those of a model whose training diverged"
                )
            if not any(row.weight for row in own):
                raise InputError(f"task {task}: nothing of its documents was scored")
            mean, stderr = mean_and_stderr([r.score for r in own], [r.weight for r in own])
            scores[task] = TaskScore(
                metric=metric,
                score=mean,
                stderr=stderr,
                n=len(own),
                higher_is_better=higher_is_better,
                metrics=_mean_metrics(own),
            )
        content = {
            "tasks": {task: dataclasses.asdict(score) for task, score in scores.items()},
            "mean": mean_score(scores),
            "settings": settings,
            "harness": harness,
            "examples": {task: _examples(rows, task) for task in scores},
        }
        _write_json(self.directory / "evaluation.json", content)
        write_samples(self.directory / SAMPLES, rows)
        return scores


def mean_score(scores: dict[str, TaskScore]) -> float | None:
    """Return the mean over the tasks in which higher is better, None when there are none."""
    values = [score.score for score in scores.values() if score.higher_is_better]
    return sum(values) / len(values) if values else None


def mean_and_stderr(scores: list[float], weights: list[float]) -> tuple[float, float | None]:
    """Return the weighted mean and its standard error.

    With equal weights this is the mean and s/√n, which for 0/1 scores is √(p(1−p)/(n−1)). With
    unequal ones it is the ratio Σws/Σw and its linearised error (Cochran, Sampling Techniques,
    6.4). The error is None for one document.
    """
    total = math.fsum(weights)
    mean = math.fsum(s * w for s, w in zip(scores, weights, strict=True)) / total
    n = len(scores)
    if n < 2:
        return mean, None
    squares = math.fsum((w * (s - mean)) ** 2 for s, w in zip(scores, weights, strict=True))
    return mean, math.sqrt(squares * n / (n - 1)) / total


def _mean_metrics(rows: list[Sample]) -> dict[str, float]:
    shared = [name for name in rows[0].metrics if all(name in row.metrics for row in rows)]
    weights = [row.weight for row in rows]
    return {
        name: mean_and_stderr([row.metrics[name] for row in rows], weights)[0] for name in shared
    }


def _examples(rows: list[Sample], task: str) -> list[dict[str, Any]]:
    own = [row for row in rows if row.task == task and row.prediction]
    best, worst = max((r.score for r in own), default=0), min((r.score for r in own), default=0)
    shown = [r for r in own if r.score == best][:2]
    shown += [r for r in own if r.score == worst and worst < best][:2]
    return [
        {
            "score": row.score,
            "prompt": row.prompt,
            "prediction": row.prediction,
            "target": row.target,
        }
        for row in shown
    ]


def _write_json(file: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
