"""Scores of a model and of its ancestors, read from evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from storm_exp import Artifact, lineage
from storm_models.folder.json_file import read_json
from storm_report.score_interval import score_interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """The score of a task."""

    task: str
    metric: str
    value: float
    stderr: float | None
    documents: int

    def shown(self) -> str:
        """Return the score, with its 95 % interval where one is known."""
        interval = score_interval(self.value, self.stderr, self.documents)
        if interval is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} ({interval[0]:.3g} to {interval[1]:.3g})"


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The scores of one model."""

    model: str
    """Its key; empty if unknown."""
    name: str
    """The component that made it."""
    scores: list[Score]


def read_scores(evaluations: Sequence[Artifact]) -> list[Evaluated]:
    """Return the scores of each evaluation, with the model that it evaluated."""
    evaluated = []
    for evaluation in evaluations:
        steps = {step.key: step for step in lineage(evaluation)}
        own = steps.get(evaluation.key)
        model = str(own.inputs.get("model", "")) if own else ""
        tasks = read_json(evaluation.directory / "evaluation.json")["tasks"]
        scores = [
            Score(
                task=task,
                metric=entry["metric"],
                value=entry["score"],
                stderr=entry["stderr"],
                documents=entry["n"],
            )
            for task, entry in tasks.items()
        ]
        name = steps[model].component if model in steps else "model"
        evaluated.append(Evaluated(model, name, scores))
    return evaluated
