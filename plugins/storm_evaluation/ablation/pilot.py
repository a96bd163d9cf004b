"""The pilot of an ablation: an earlier run, whose variances tell what the next one can see."""

from __future__ import annotations

from pathlib import Path

from storm_evaluation.ablation.measured_arms import MeasuredArms, arms_of, is_ablation
from storm_exp import ComposeError, StormError
from storm_exp.report import RunRecord
from storm_report.runs.report_verb import run_folder


def find_pilot(outputs: Path, recipe: str, given: str) -> RunRecord:
    """Return the record of the run that is named, or else of the newest that can be a pilot.

    That is an ablation of the same recipe with several seeds. Raises ComposeError if there is none.
    """
    if given:
        try:
            run = RunRecord.read(run_folder(outputs, given))
        except StormError as error:
            raise ComposeError(f"ablation.pilot={given}: {error}") from error
        if problem := _unfit(run, recipe):
            raise ComposeError(f"ablation.pilot={given}: {problem}")
        return run
    reasons = []
    for folder in sorted((outputs / "runs").glob("*/"), reverse=True):
        try:
            run = RunRecord.read(folder)
        except StormError:
            reasons.append(f"{folder.name} cannot be read")
            continue
        if not (problem := _unfit(run, recipe)):
            return run
        if is_ablation(run) and run.recipe == recipe:
            reasons.append(f"{folder.name} {problem}")
    said = f" ({'; '.join(reasons[:3])})" if reasons else ""
    raise ComposeError(
        f"--power: {outputs / 'runs'} has no pilot, an ablation of {recipe} with two seeds or "
        f"more{said}: make one, as in storm-exp ablate recipe={recipe} seed=0,1,2"
    )


def _unfit(run: RunRecord, recipe: str) -> str:
    """Return why a run is no pilot; empty if it is one."""
    if not is_ablation(run):
        return "is no run of storm-exp ablate"
    if run.recipe != recipe:
        return f"is of the recipe {run.recipe}, not of {recipe}"
    if run.rehearsal:
        return "is a rehearsal"
    arms = list(arms_of(run))
    if not any(each.runs for each in arms):
        return "has no score of the reference"
    if not any(each.runs > 1 for each in arms):
        return "has one seed, which shows no variation from run to run"
    return "" if any(each.effects() for each in arms) else "has no complete arm"


def of_evaluator(pilot: RunRecord, evaluator: str, design: str) -> MeasuredArms:
    """Return what an evaluator measured in a pilot; raises ComposeError where it did not."""
    measured = {arms.evaluator: arms for arms in arms_of(pilot)}
    if evaluator not in measured:
        known = ", ".join(measured)
        raise ComposeError(
            f"--power: the pilot {pilot.directory} has no scores of {evaluator}, but of {known}"
        )
    arms = measured[evaluator]
    if arms.design != design:
        raise ComposeError(
            f"--power: the pilot {pilot.directory} has ablation.design={arms.design}, whose "
            f"effects vary otherwise than those of ablation.design={design}: name another pilot by "
            "ablation.pilot=RUN"
        )
    return arms
