"""The arms of an ablation in a plan: what they share, and what cannot be compared."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from storm_evaluation.ablation.design import BESIDE
from storm_evaluation.evaluation import Evaluation
from storm_exp import ComposeError, Plan
from storm_report.counted import counted
from storm_report.run_table import is_seed

_ARM = "ablation.arm="


def planned_arms(plan: Plan) -> dict[str, list[Any]]:
    """Return the cells of each arm; empty for a plan that is no ablation's."""
    arms: dict[str, list[Any]] = {}
    for cell in plan.cells:
        for word in cell.overrides:
            if word.startswith(_ARM):
                arms.setdefault(word.removeprefix(_ARM), []).append(cell)
    return arms


def check_arms(plan: Plan, says: Mapping[str, str] | None = None) -> None:
    """Raise ComposeError where arms cannot be compared, or a control changes nothing.

    `says` are the controls in words, where they are known.
    """
    arms = planned_arms(plan)
    if arms:
        _check_seeds(arms[""])
    evaluated = {
        arm: {n.key for cell in cells for n in cell.needed() if n.component.output is Evaluation}
        for arm, cells in arms.items()
    }
    names = {arm: set(arm.split(BESIDE)) - {""} for arm in arms}
    for without, arm in itertools.permutations(arms, 2):
        added = names[arm] - names[without]
        if len(added) != 1 or not names[without] < names[arm]:
            continue
        if evaluated[arm] <= evaluated[without]:
            (name,) = added
            what = f"its control ({says[name]})" if says else "its control"
            beside = f" beside the control of {' and '.join(without.split(BESIDE))}"
            raise ComposeError(
                f"ablation.controls.{name}: {what} changes nothing{beside if without else ''}: the "
                "recipe evaluates the same models without it; leave it out with "
                f"ablation.controls.{name}=null"
            )


def _check_seeds(cells: list[Any]) -> None:
    """Raise ComposeError where the cells of an arm differ in more than seeds, or not at all."""
    given = [
        dict(word.lstrip("+~").split("=", 1) for word in cell.overrides if "=" in word)
        for cell in cells
    ]
    for name in given[0]:
        values = list(dict.fromkeys(each.get(name, "") for each in given))
        if len(values) > 1 and not is_seed(name):
            raise ComposeError(
                f"{name} has the values {', '.join(values)}: the runs of an arm differ in seeds "
                "alone, so ablate each value by itself"
            )
    seeds = [", ".join(f"{n}={each[n]}" for n in each if is_seed(n)) for each in given]
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise ComposeError(f"{seed} is given twice: the same seed again is no other run")


def notices(plan: Plan) -> list[str]:
    """Return how much the arms of an ablation share; raises ComposeError as `check_arms` does."""
    arms = planned_arms(plan)
    if not arms:
        return []
    check_arms(plan)
    needed = [node.key for cell in plan.cells for node in cell.needed()]
    runs = counted(len(arms[""]), "seed")
    shared = len(needed) - len(set(needed))
    return [
        f"ablation: {counted(len(arms), 'arm')} of {runs} share {shared:,} of the "
        f"{len(needed):,} stages that they need: {len(set(needed)):,} are distinct, and "
        f"{len(plan.to_make()):,} are to be made"
    ]
