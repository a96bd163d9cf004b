"""Interim models in the record of a run, each beside the training that it is of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from storm_exp.report import CellRecord, StageRecord
from storm_report.interim import INTERIM

_OWN = ("stop_after", "stop_after_epochs", "keep_every", "keep_every_epochs")
"""Settings in which an interim model differs from its training."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A model of a training that was evaluated."""

    key: str
    steps: float
    tokens: float
    evaluation: Mapping[str, Any]
    """The contents of its evaluation.json."""


Curve = list[Point]


def curves(
    cell: CellRecord, contents: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], Curve]:
    """Return the evaluated models of trainings that have interim ones, by training and evaluator.

    `contents` has evaluations by key. A curve begins with the model before training, at 0 steps,
    and ends with the trained one, where these are evaluated.
    """
    scored: dict[tuple[str, str], Mapping[str, Any]] = {}
    for stage in cell.of_type("Evaluation"):
        if stage.key in contents:
            evaluator = stage.stage.removesuffix(INTERIM)
            scored.setdefault((evaluator, str(stage.inputs.get("model"))), contents[stage.key])
    evaluators = dict.fromkeys(evaluator for evaluator, _ in scored)
    found: dict[tuple[str, str], Curve] = {}
    for training, models in _trainings(cell):
        for evaluator in evaluators:
            if not any((evaluator, model.key) in scored for model in models):
                continue
            start = str(training.inputs.get("model"))
            before = scored.get((evaluator, start))
            points = [Point(start, 0, 0, before)] if before is not None else []
            points += [
                Point(model.key, model.metrics["steps"], model.metrics["tokens"], evaluation)
                for model in [*models, training]
                if (evaluation := scored.get((evaluator, model.key))) and "steps" in model.metrics
            ]
            found[training.label, evaluator] = sorted(points, key=lambda point: point.steps)
    return found


def _trainings(cell: CellRecord) -> list[tuple[StageRecord, list[StageRecord]]]:
    """Return every training that has interim models, with these."""
    groups: dict[str, list[StageRecord]] = {}
    for stage in cell.of_type("Checkpoint"):
        if _OWN[0] in stage.settings:
            common = {name: v for name, v in stage.settings.items() if name not in _OWN}
            groups.setdefault(repr((stage.component, common, stage.inputs)), []).append(stage)
    return [
        (whole[0], parts)
        for stages in groups.values()
        if (whole := [stage for stage in stages if not _stops(stage)])
        and (parts := [stage for stage in stages if _stops(stage)])
    ]


def _stops(stage: StageRecord) -> bool:
    return any(stage.settings.get(name) is not None for name in _OWN[:2])
