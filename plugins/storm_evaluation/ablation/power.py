"""What an ablation could see, before it runs: `storm-exp ablate … --power`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_evaluation.ablation import design as designs
from storm_evaluation.ablation.design import TIMES, controlled
from storm_evaluation.ablation.measured_arms import MeasuredArms
from storm_evaluation.ablation.pilot import find_pilot, of_evaluator
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.evaluation import Evaluation
from storm_exp import Answer, ComposeError, Composition, InputError, Plan, align

if TYPE_CHECKING:
    from storm_evaluation.comparison.power import PlannedComparison

WANTED = 0.8
"""Power that an ablation is planned for."""
_NO_VARIANCE = 1e-6
"""An effect that is seen from here on is any at all: the answers of the pilot never varied."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is promised of an effect, from one estimate of the variances."""

    smallest: float
    """The effect that is found with the power wanted."""
    power: float
    """With which the stated effect is found."""
    seeds: int | None
    """How many find the stated effect with the power wanted; None for more than can be planned."""


def planned_power(plan: Plan, cells: list[Composition]) -> Answer:
    """Return what each effect's power is, from a pilot; raises ComposeError without one."""
    section = cells[0].config.ablation
    recipe, effect = plan.cells[0].recipe.name, float(section.power)
    factors = [name for name, control in section.controls.items() if control is not None]
    seeds = sum(not cell.config.ablation.arm for cell in cells)
    if seeds < 2:
        problem = "one seed shows no variation from run to run: give several, as in seed=0,1,2"
        raise ComposeError(f"--power: {problem}")
    pilot = find_pilot(Path(str(cells[0].config.outputs)), recipe, str(section.pilot))
    items: list[dict[str, Any]] = []
    notes = []
    for evaluator in _evaluators(plan):
        arms = of_evaluator(pilot, evaluator, str(section.design))
        notes.append(_pilot_line(arms, pilot.directory))
        notes += _other_questions(plan, evaluator, arms)
        for name, kind, point, pessimistic in _figures(arms, factors, seeds, effect):
            if point.smallest < _NO_VARIANCE:
                notes.append(f"{kind}, {name}: no answer of the pilot varied, which tells nothing")
                continue
            of = {"evaluator": evaluator, "effect_of": name, "measure": kind, "effect": effect}
            figures = {"seeds": seeds, "point": vars(point), "pessimistic": vars(pessimistic)}
            items.append(of | figures)
    if not items:
        raise ComposeError(
            f"--power: no answer of the pilot {pilot.directory} varied between arms and runs, "
            "which tells nothing: ask more questions, or train for longer"
        )
    said = f"seen by {WANTED:.0%}"
    rows = [["effect of", "measure", said, f"{effect:g} is seen by", f"{effect:g} needs"]]
    rows += [[item["effect_of"], item["measure"], *_shown(item)] for item in items]
    notes.append(
        f"with {seeds} seeds, at Holm's level for all effects; in brackets the pessimistic figure, "
        "from the 80 % upper bound of the variance from run to run"
    )
    return Answer("ablate", items, lines=align(rows), notes=notes)


def _evaluators(plan: Plan) -> list[str]:
    """Return the stages that measure, in the order of the recipe."""
    nodes = (
        (stage, node) for stage, each in plan.cells[0].placed.items() for node in each.values()
    )
    needed = {node.key for node in plan.cells[0].needed()}
    return list(
        dict.fromkeys(
            stage
            for stage, node in nodes
            if node.component.output is Evaluation and node.key in needed
        )
    )


def _figures(
    arms: MeasuredArms, factors: list[str], seeds: int, effect: float
) -> Iterator[tuple[str, str, Figures, Figures]]:
    """Yield effect, measure, and the point and pessimistic figures."""
    from storm_evaluation.comparison.power import PlannedComparison, variances
    from storm_evaluation.comparison.several_runs import SeveralRuns

    known = {frozenset(name.split(TIMES)): each for name, each in arms.effects().items()}
    wanted = {name: frozenset(name.split(TIMES)) for name in designs.effects(arms.design, factors)}
    if unknown := [name for name, terms in wanted.items() if terms not in known]:
        raise ComposeError(
            f"--power: the pilot has no effect of {', '.join(unknown)}, but of "
            f"{', '.join(arms.effects())}: "
            "leave out a factor by ablation.controls.NAME=null, or make another pilot"
        )
    try:
        tasks = arms.match()
    except (InputError, OSError, ValueError) as error:
        raise ComposeError(f"--power: the pilot cannot be read: {error}") from error
    paired = Paired()
    measured = SeveralRuns(tasks, runs=arms.runs, confidence=paired.confidence)
    contrasts = [known[terms] for terms in wanted.values()]
    count, level = len(controlled(arms.design, factors)), 1 - paired.confidence
    for kind, higher in (("score", True), ("loss", False)):
        group = [task for task in tasks if task.higher_is_better == higher]
        if not group:
            continue
        spread = measured.spread(group, contrasts)
        for number, name in enumerate(wanted):
            found = variances(spread, (number,))
            point, pessimistic = (
                _figure(PlannedComparison(each, count, len(wanted), level), seeds, effect)
                for each in (found.alike(), found.pessimistic())
            )
            yield name, kind, point, pessimistic


def _figure(planned: PlannedComparison, seeds: int, effect: float) -> Figures:
    return Figures(
        smallest=planned.smallest_effect(seeds, WANTED),
        power=planned.power(effect, seeds),
        seeds=planned.runs_needed(effect, WANTED),
    )


def _pilot_line(arms: MeasuredArms, directory: Path) -> str:
    return f"pilot: {directory}, {arms.runs} seeds of {len(arms.complete())} arms"


def _other_questions(plan: Plan, evaluator: str, arms: MeasuredArms) -> list[str]:
    """Return a line for each setting by which the pilot's questions are not the planned ones."""
    (node, *_) = plan.cells[0].placed[evaluator].values()
    had = next(iter(arms.by_arm[""].values())).settings
    planned = {name: getattr(node.settings, name, None) for name in ("tasks", "limit")}
    return [
        f"the pilot has {evaluator}.{name}={had[name]} and not {value}: figures are of its own"
        for name, value in planned.items()
        if name in had and had[name] != value
    ]


def _shown(item: dict[str, Any]) -> list[str]:
    point, pessimistic = item["point"], item["pessimistic"]
    seeds = [str(each["seeds"] or "over 200") for each in (point, pessimistic)]
    return [
        f"{point['smallest']:.3f} ({pessimistic['smallest']:.3f})",
        f"{point['power']:.0%} ({pessimistic['power']:.0%})",
        f"{seeds[0]} seeds ({seeds[1]})",
    ]
