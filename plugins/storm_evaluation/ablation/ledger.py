"""The ledger of an ablation: the effect of each factor on the result, with its uncertainty."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from storm_evaluation.ablation.design import FULL
from storm_evaluation.ablation.measured_arms import MeasuredArms, arms_of
from storm_evaluation.comparison.comparison import NO_EFFECT, by_holm, shown_interval
from storm_evaluation.comparison.paired import Paired
from storm_exp import InputError
from storm_exp.report import RunRecord

if TYPE_CHECKING:
    from storm_evaluation.comparison.document_matching import MatchedTask
    from storm_evaluation.comparison.inference import Contrast, Family

BETTER, WORSE = "better", "worse"


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a factor adds to a score of the result: with it, less without it."""

    difference: float
    low: float
    high: float
    p: float
    """Corrected for all factors and interactions by Holm's method."""
    verdict: str
    """On the factor: better, worse, no effect, or undecided."""

    @property
    def said(self) -> str:
        """The verdict, with what it is by where the interval says otherwise."""
        return self.verdict + by_holm(self.verdict, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class Factor:
    """The effects of one factor, or of the interaction of two."""

    name: str
    control: str
    """What its control is, in words; empty for an interaction."""
    mean: dict[str, Effect]
    """Effects on `mean`, of the tasks in which higher is better, and on `loss`, of the others."""
    tasks: dict[str, Effect]
    measures: dict[str, Effect]
    """Effects on the right answers' likelihood, over the tasks that have it; each measure is
    corrected by itself."""

    @property
    def note(self) -> str:
        """What the effect is measured against."""
        if not self.control:
            return "what each adds to the other's effect"
        return f"against {self.control}"


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
    """Coverage of the intervals: of all effects together where there are several runs."""
    factors: list[Factor]
    problems: list[str]
    """Why factors are missing."""


_latest: list[tuple[RunRecord, list[Ledger]]] = []
"""The record that was last asked for, with its ledgers."""


def ledgers(run: RunRecord) -> list[Ledger]:
    """Return a ledger for each evaluator of an ablation.

    The report of a run and its last lines ask for those of the same record, which are made once.
    """
    if not _latest or _latest[0][0] is not run:
        _latest[:] = [(run, [_ledger(arms) for arms in arms_of(run)])]
    return _latest[0][1]


def _ledger(arms: MeasuredArms) -> Ledger:
    paired, problems = Paired(runs=max(1, arms.runs)), arms.problems()
    effects, questions, factors = arms.effects(), {}, []
    if effects:
        try:
            tasks = arms.match()
            entries = _estimate(paired, tasks, effects, arms.design)
            beside = {
                measure: _estimate(paired, arms.match(measure), effects, arms.design)
                for measure in arms.measures()
            }
        except (InputError, OSError, ValueError) as error:
            problems.append(f"not compared: {error}")
        else:
            questions = {task.name: task.scores_MN.shape[1] for task in tasks}
            factors = [
                _factor(
                    name,
                    arms.controls.get(name, ""),
                    entry,
                    {measure: estimates[number] for measure, estimates in beside.items()},
                )
                for number, (name, entry) in enumerate(zip(effects, entries, strict=True))
            ]
    return Ledger(
        evaluator=arms.evaluator,
        runs=arms.runs,
        questions=questions,
        margin=paired.margin,
        confidence=paired.confidence,
        factors=factors,
        problems=problems,
    )


def _estimate(
    paired: Paired, tasks: list[MatchedTask], effects: dict[str, Contrast], design: str
) -> list[dict[str, Any]]:
    """Return the estimates of effects."""
    from storm_evaluation.comparison.inference import Family

    of_means = family(design, len(effects))
    of_tasks = Family(len(effects) * len(tasks), 0.0) if len(tasks) > 1 else of_means
    return paired.differences(tasks).contrasts(list(effects.values()), of_means, of_tasks)


def family(design: str, size: int) -> Family:
    """Return how the effects of a design hang together: those of a factorial are orthogonal."""
    from storm_evaluation.comparison.inference import Family

    return Family(size, 0.0 if design == FULL else 0.5)


def _factor(
    name: str, says: str, entry: dict[str, Any], beside: dict[str, dict[str, Any]]
) -> Factor:
    return Factor(
        name=name,
        control=says,
        mean={kind: _effect(entry[kind]) for kind in ("mean", "loss") if entry[kind]},
        tasks={task: _effect(cell) for task, cell in entry["tasks"].items()},
        measures={measure: _effect(each["mean"]) for measure, each in beside.items()},
    )


def _effect(cell: dict[str, Any]) -> Effect:
    low, high = cell.get("together", (cell["low"], cell["high"]))
    return Effect(cell["difference"], low, high, cell["p_holm"], cell["verdict"])


def in_words(factor: Factor, margin: float) -> str:
    """Return what a ledger says of a factor, as in `merging: score +0.051 [+0.030, +0.072]`."""
    parts = []
    for kind, effect in factor.mean.items():
        ends = f"[{effect.low:+.3f}, {effect.high:+.3f}]"
        said = f"{effect.difference:+.3f} {shown_interval(effect.low, effect.high, ends)}"
        by = by_holm(effect.verdict, effect.low, effect.high)
        by += f" {effect.p:.3f}" if by else ""
        if effect.verdict == NO_EFFECT:
            said = f"no effect shown, less than {margin:g} either way"
        elif effect.verdict not in (BETTER, WORSE):
            said = f"undecided{by}, {said}"
        else:
            said += by
        parts.append(f"{'score' if kind == 'mean' else kind} {said}")
    return f"{factor.name}: {'; '.join(parts)}"
