"""The arms of an ablation as they were measured, from the record of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from storm_evaluation.ablation import design as designs
from storm_evaluation.ablation.design import DESIGNS, FULL, controlled
from storm_evaluation.evaluation import SAMPLES, Evaluation
from storm_exp import InputError
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.interim import is_interim
from storm_report.run_table import is_seed

if TYPE_CHECKING:
    from storm_evaluation.comparison.document_matching import MatchedTask
    from storm_evaluation.comparison.inference import Contrast

Runs = dict[tuple[str, ...], StageRecord]
"""Evaluations of an arm by the values of its seed settings."""


@dataclasses.dataclass(frozen=True)
class MeasuredArms:
    """What one evaluator measured of each arm; the reference is the arm ""."""

    evaluator: str
    design: str
    controls: dict[str, str]
    """{factor: what its control is, in words}"""
    by_arm: dict[str, Runs]

    @property
    def runs(self) -> int:
        """Seeds of the reference."""
        return len(self.by_arm.get("", {}))

    def complete(self) -> list[str]:
        """Return the arms with a score for each seed of the reference, which is the first."""
        reference = self.by_arm.get("", {})
        others = (arm for arm in controlled(self.design, list(self.controls)) if arm)
        whole = [arm for arm in others if self.by_arm.get(arm, {}).keys() == reference.keys()]
        return ["", *whole] if reference else []

    def problems(self) -> list[str]:
        """Return why effects are missing."""
        if self.design not in DESIGNS:
            return [f"not compared: this version knows no design {self.design}"]
        complete, found = self.complete(), []
        for arm in controlled(self.design, list(self.controls)):
            if arm and arm not in complete:
                found.append(f"{arm}: {self._lacking(arm)}")
        if self.design == FULL and found:
            found.append("no effects: those of a factorial need all of its arms")
        return found

    def _lacking(self, arm: str) -> str:
        """Return how many scores an arm lacks, or the reference beside it."""
        reference, runs = self.by_arm.get("", {}).keys(), self.by_arm.get(arm, {}).keys()
        if reference and reference - runs:
            return f"{len(runs & reference)} of {self.runs} runs have a score"
        both = len(runs | reference)
        return f"of the recipe itself, {self.runs} of {both} runs have a score"

    def effects(self) -> dict[str, Contrast]:
        """Return the effects whose arms are complete, as contrasts of these arms by number."""
        arms = self.complete()
        if self.design not in DESIGNS:
            return {}
        return {
            name: {arms.index(arm): weight for arm, weight in effect.items()}
            for name, effect in designs.effects(self.design, list(self.controls)).items()
            if effect.keys() <= set(arms)
        }

    def match(self, measure: str = "") -> list[MatchedTask]:
        """Return the scores of complete arms by question; a row for each run, arm after arm.

        With a `measure`, its values take the scores' place. Raises InputError where an evaluation
        is gone, or arms answered different questions.
        """
        from storm_evaluation.comparison.document_matching import match_documents

        found = self._evaluations()
        return match_documents(list(found.values()), measure, names=list(found))

    def measures(self) -> list[str]:
        """Return the measures that every evaluation has beside its score."""
        from storm_evaluation.comparison.document_matching import shared_measures

        return shared_measures(list(self._evaluations().values()))

    def _evaluations(self) -> dict[str, Evaluation]:
        """Return evaluations of complete arms by name; raises InputError for one that is gone."""
        found = {}
        for arm in self.complete():
            for seeds in self.by_arm[""]:
                directory = Path(self.by_arm[arm][seeds].directory)
                name = " ".join([arm or "the reference", *(f"seed={seed}" for seed in seeds)])
                if not (directory / SAMPLES).is_file():
                    lacks = f"has no {SAMPLES}, as one of another version of storm-exp"
                    problem = lacks if directory.is_dir() else "is gone from the store"
                    raise InputError(
                        f"the evaluation of {name} ({directory}) {problem}: the same command makes "
                        "it again"
                    )
                found[name] = Evaluation(directory)
        return found


def is_ablation(run: RunRecord) -> bool:
    """Return whether a run is one of `storm-exp ablate`."""
    return any(_arm(cell) for cell in run.cells)


def arms_of(run: RunRecord) -> Iterator[MeasuredArms]:
    """Yield the arms of an ablation, for each of its evaluators."""
    by_evaluator: dict[str, dict[str, Runs]] = {}
    names = _seeds(run)
    for cell, settings in zip(run.cells, run.cell_settings(), strict=True):
        seeds = tuple(settings[name] for name in names)
        for stage in cell.of_type("Evaluation"):
            if is_interim(stage):
                continue
            arms = by_evaluator.setdefault(stage.stage, {})
            arms.setdefault(_arm(cell), {})[seeds] = stage
    section = run.cells[0].config["ablation"]
    controls = {name: c["says"] for name, c in section["controls"].items() if c is not None}
    for evaluator, arms in by_evaluator.items():
        yield MeasuredArms(evaluator, section["design"], controls, arms)


def _seeds(run: RunRecord) -> list[str]:
    """Return the seeds by which the runs of an arm differ: a control may set others."""
    values: dict[tuple[str, str], set[str]] = {}
    for cell, settings in zip(run.cells, run.cell_settings(), strict=True):
        for name in filter(is_seed, settings):
            values.setdefault((name, _arm(cell)), set()).add(settings[name])
    return list(dict.fromkeys(name for (name, _), found in values.items() if len(found) > 1))


def _arm(cell: CellRecord) -> str:
    """Return the arm that a cell belongs to; empty for the reference and other runs."""
    section = cell.config.get("ablation")
    return str(section.get("arm") or "") if isinstance(section, dict) else ""
