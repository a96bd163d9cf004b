"""The metrics that every evaluator records of its evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from storm_evaluation.evaluation import Evaluation
from storm_exp import StageContext


def report_metrics(stage: StageContext, evaluation: Evaluation) -> None:
    """Record the mean, the loss where there is one, and each task's score as metrics.

    The mean and the loss carry a digest of their questions, without which scores on different
    questions would be compared unnoticed.
    """
    summary, on = evaluation.summary(), evaluation.questions()
    tasks = list(summary["tasks"].values())
    if summary["mean"] is not None:
        stage.metric("mean_score", summary["mean"], main=True, on=on)
        _report_error(stage, "mean_score", [t for t in tasks if t["higher_is_better"]])
    losses = [entry for entry in tasks if not entry["higher_is_better"]]
    if losses:
        alone, loss = summary["mean"] is None, sum(entry["score"] for entry in losses) / len(losses)
        stage.metric("loss", loss, main=alone, shown=True, on=on)
        _report_error(stage, "loss", losses)
    for task, entry in summary["tasks"].items():
        stage.metric(f"score/{task}", entry["score"])


def _report_error(stage: StageContext, name: str, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Record the standard error of a mean over tasks, where every task has one."""
    errors = [entry["stderr"] for entry in tasks]
    if None not in errors:
        stage.metric(f"{name}_stderr", math.fsum(e**2 for e in errors) ** 0.5 / len(errors))
