"""What a rerun came to, beside what was recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.reproduction import environment
from storm_evaluation.reproduction.environment import Difference
from storm_evaluation.reproduction.original import Original, Step, store_of
from storm_evaluation.reproduction.scores import ScorePair, pair_scores
from storm_evaluation.reproduction.stages import Compared, compare_steps, touched, unexamined
from storm_evaluation.reproduction.verdict import CANNOT_SAY, Verdict, judge
from storm_exp import InputError, align
from storm_exp.report import CellRecord, RunRecord
from storm_report.machine import describe_environment

_SHOWN = 40
"""The most stages that are shown on a terminal."""


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """A rerun beside its original."""

    verdict: Verdict
    cells: list[list[Compared]]
    pairs: list[ScorePair]
    environment: list[Difference]
    recorded: bool
    """Whether anybody recorded the original's environment."""

    def lines(self) -> list[str]:
        """Return environment, stages, scores and verdict, for people."""
        rows = [["stage", "artifact", "digest then", "now", "", ""]]
        several = len(self.cells) > 1
        for number, cell in enumerate(self.cells, start=1):
            for each in cell:
                label = f"{number}: {each.then.label}" if several else each.then.label
                now = each.now.digest[:12] if each.now else ""
                why = "; ".join(each.why)
                digests = [each.then.digest[:12], now]
                rows.append([label, each.then.artifact, *digests, each.outcome.value, why])
        more = len(rows) - 1 - _SHOWN
        return [
            *environment.lines(self.environment, self.recorded),
            *(align(rows[: _SHOWN + 1]) if self.cells else []),
            *([f"and {more} more (--json has all)"] if more > 0 else []),
            *(pair.line() for pair in self.pairs[:_SHOWN]),
            f"verdict      {self.verdict.line()}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "verdict": self.verdict.text,
            "why": self.verdict.why,
            "environment": [dataclasses.asdict(each) for each in self.environment],
            "cells": [[_stage_json(each) for each in cell] for cell in self.cells],
            "scores": [dataclasses.asdict(pair) for pair in self.pairs],
        }


def compare(
    original: Original, record: RunRecord | None, problem: str, margin: float
) -> Reproduction:
    """Return what the rerun of an original came to; `problem` says why there is no record."""
    now = record.environment if record is not None else describe_environment()
    surroundings = environment.differences(original.environment, now)
    recorded = bool(original.environment)
    if record is None:
        return Reproduction(Verdict(CANNOT_SAY, problem), [], [], surroundings, recorded)
    cells = [
        compare_steps(then, _steps(record, cell))
        for then, cell in zip(original.cells, record.cells, strict=True)
    ]
    pairs, missing = _scores(cells, margin)
    return Reproduction(
        judge([each for cell in cells for each in cell], pairs, missing),
        cells,
        pairs,
        surroundings,
        recorded,
    )


def _steps(record: RunRecord, cell: CellRecord) -> list[Step]:
    return [Step.of(stage, store_of(record, cell)) for stage in cell.stages]


def _scores(
    cells: Sequence[Sequence[Compared]], margin: float
) -> tuple[list[ScorePair], list[str]]:
    """Return the paired scores of evaluations of what differs, and lines on those without."""
    pairs: dict[str, list[ScorePair]] = {}
    missing = []
    for number, cell in enumerate(cells, start=1):
        prefix = f"{number}: " if len(cells) > 1 else ""
        for each in touched(cell):
            then, now = each.then, each.now
            if then.artifact != Evaluation.__name__ or now is None or then.key in pairs:
                continue
            label = prefix + then.label
            if then.directory is None or now.directory is None:
                missing.append(f"{label}: nobody recorded its answers")
                continue
            try:
                pairs[then.key], _ = pair_scores(label, then.directory, now.directory, margin)
            except InputError as error:
                missing.append(f"{label} cannot be compared: {error}")
    if pairs:
        others = unexamined([each for cell in cells for each in cell])
        missing += [f"no evaluation is made of {label}, which differs" for label in others]
    return [pair for each in pairs.values() for pair in each], missing


def _stage_json(compared: Compared) -> dict[str, Any]:
    then, now = compared.then, compared.now
    return {
        "stage": then.label,
        "component": then.component,
        "artifact": then.artifact,
        "outcome": compared.outcome.value,
        "why": compared.why,
        "then": {"key": then.key, "digest": then.digest, "metrics": then.metrics},
        "now": {"key": now.key, "digest": now.digest, "metrics": now.metrics} if now else None,
    }
