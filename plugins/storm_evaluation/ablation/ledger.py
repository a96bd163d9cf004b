"""The ledger of an ablation: the effect of each factor on the result, with its uncertainty."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storm_evaluation.ablation.control import ONE_OUT
from storm_evaluation.comparison.comparison import NO_EFFECT
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.evaluation import Evaluation
from storm_exp import InputError
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.run_table import is_seed

BETTER, WORSE = "better", "worse"
_OPPOSITE = {BETTER: WORSE, WORSE: BETTER}
_Runs = dict[tuple[str, ...], StageRecord]
"""Evaluations of an arm by the values of its seed settings."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a factor adds to a score of the result: with it, less without it."""

    difference: float
    low: float
    high: float
    p: float
    """Corrected for all factors by Holm's method."""
    verdict: str
    """On the factor: better, worse, no effect, or undecided."""


@dataclasses.dataclass(frozen=True)
class Factor:
    """The effects of one factor."""

    name: str
    control: str
    """What its control is, in words."""
    mean: dict[str, Effect]
    """Effects on `mean`, of the tasks in which higher is better, and on `loss`, of the others."""
    tasks: dict[str, Effect]


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The effects of all factors on what one evaluator measures."""

    evaluator: str
    runs: int
    """Seeds of every arm."""
    questions: dict[str, int]
    """{task: number of questions}"""
    margin: float
    """Effects within ± margin count as none."""
    confidence: float
    """Coverage of the intervals: of all factors together where there are several runs."""
    factors: list[Factor]
    problems: list[str]
    """Why factors are missing."""


def is_ablation(run: RunRecord) -> bool:
    """Return whether a run is one of `storm-exp ablate`."""
    return any(_arm(cell) for cell in run.cells)


def ledgers(run: RunRecord) -> Iterator[Ledger]:
    """Yield a ledger for each evaluator of an ablation."""
    by_evaluator: dict[str, dict[str, _Runs]] = {}
    for cell, settings in zip(run.cells, run.cell_settings(), strict=True):
        seeds = tuple(value for name, value in settings.items() if is_seed(name))
        for stage in cell.of_type("Evaluation"):
            arms = by_evaluator.setdefault(stage.stage, {})
            arms.setdefault(_arm(cell), {})[seeds] = stage
    for evaluator, arms in by_evaluator.items():
        yield _ledger(evaluator, arms, run.cells[0].config["ablation"])


def _arm(cell: CellRecord) -> str:
    """Return the factor whose arm a cell belongs to; empty for the reference and other runs."""
    section = cell.config.get("ablation")
    return str(section.get("arm") or "") if isinstance(section, dict) else ""


def _ledger(evaluator: str, arms: dict[str, _Runs], section: dict[str, Any]) -> Ledger:
    from storm_evaluation.comparison.document_matching import match_documents

    controls = {name: c for name, c in section["controls"].items() if c is not None}
    paired, reference = Paired(), arms.get("", {})
    problems, measured = [], []
    for name in controls:
        found = arms.get(name, {})
        if reference and found.keys() == reference.keys():
            measured.append(name)
        else:
            problems.append(f"{name}: {len(found)} of {len(reference)} runs have a score")
    questions: dict[str, int] = {}
    factors: list[Factor] = []
    if measured:
        runs = [arms[name][seeds] for name in ("", *measured) for seeds in reference]
        paired = Paired(runs=len(reference))
        try:
            matched = match_documents([Evaluation(Path(stage.directory)) for stage in runs])
            content = paired.compare(matched, every_pair=False)
        except (InputError, OSError, ValueError) as error:
            problems.append(f"not compared: {error}")
        else:
            questions = {name: task["n"] for name, task in content["tasks"].items()}
            out = section["design"] == ONE_OUT
            factors = [
                _factor(name, controls[name]["says"], entry, out)
                for name, entry in zip(measured, content["against_first"], strict=True)
            ]
    return Ledger(
        evaluator=evaluator,
        runs=len(reference),
        questions=questions,
        margin=paired.margin,
        confidence=paired.confidence,
        factors=factors,
        problems=problems,
    )


def _factor(name: str, says: str, entry: dict[str, Any], out: bool) -> Factor:
    return Factor(
        name=name,
        control=says,
        mean={kind: _effect(entry[kind], out) for kind in ("mean", "loss") if entry[kind]},
        tasks={task: _effect(cell, out) for task, cell in entry["tasks"].items()},
    )


def _effect(cell: dict[str, Any], out: bool) -> Effect:
    """Return the effect of a factor from the difference of its arm to the reference.

    `out` says that the arm lacks the factor; then its effect is the opposite of the difference.
    """
    low, high = cell.get("together", (cell["low"], cell["high"]))
    verdict = cell["verdict"]
    if out:
        low, high, verdict = -high, -low, _OPPOSITE.get(verdict, verdict)
    difference = -cell["difference"] if out else cell["difference"]
    return Effect(difference + 0.0, low + 0.0, high + 0.0, cell["p_holm"], verdict)


def in_words(factor: Factor, margin: float) -> str:
    """Return what a ledger says of a factor, as in `merging: score +0.051 [+0.030, +0.072]`."""
    parts = []
    for kind, effect in factor.mean.items():
        said = f"{effect.difference:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
        if effect.verdict == NO_EFFECT:
            said = f"no effect shown, less than {margin:g} either way"
        elif effect.verdict not in _OPPOSITE:
            said = f"undecided, {said}"
        parts.append(f"{'score' if kind == 'mean' else kind} {said}")
    return f"{factor.name}: {'; '.join(parts)}"
