"""The verb `ablate`: runs a recipe beside its controls."""

from __future__ import annotations

import itertools
from pathlib import Path

from storm_evaluation.ablation.design import controlled
from storm_evaluation.ablation.power import planned_power
from storm_evaluation.evaluation import Evaluation
from storm_exp import Answer, ComposeError, Composition, Plan, carry_out, make_plan


def ablate(cells: list[Composition]) -> Answer:
    """Run the arms of an ablation as one plan; the report holds the ledger.

    With `ablation.power`, nothing runs, and the answer is what it could see.
    The answer, for `--json`, has the metrics of the evaluations of every cell.
    Raises ComposeError for a control that changes nothing.
    """
    plan = make_plan(cells)
    check_arms(plan, cells)
    if cells[0].config.ablation.power is not None:
        answer = planned_power(plan, cells)
        answer.print([])
        return answer
    record = carry_out(plan, cells, Path(str(cells[0].config.outputs)))
    items = [
        {"cell": cell.name, "stage": stage.label, "status": stage.status, "metrics": stage.metrics}
        for cell in record.cells
        for stage in cell.of_type(Evaluation.__name__)
    ]
    return Answer("ablate", items, notes=[f"report: {record.directory / 'report.html'}"])


def check_arms(plan: Plan, cells: list[Composition]) -> None:
    """Raise ComposeError for a control without which an arm evaluates the same models."""
    by_arm: dict[str, set[str]] = {}
    for cell, composition in zip(plan.cells, cells, strict=True):
        arm = str(composition.config.ablation.arm)
        evaluated = (n.key for n in cell.needed() if n.component.output is Evaluation)
        by_arm.setdefault(arm, set()).update(evaluated)
    section = cells[0].config.ablation
    factors = [name for name, control in section.controls.items() if control is not None]
    arms = controlled(section.design, factors)
    for (without, fewer), (arm, names) in itertools.permutations(arms.items(), 2):
        added = [name for name in names if name not in fewer]
        if len(added) != 1 or not set(fewer) < set(names) or not by_arm[arm] <= by_arm[without]:
            continue
        (name,) = added
        beside = f" beside the control of {' and '.join(fewer)}" if fewer else ""
        raise ComposeError(
            f"ablation.controls.{name}: its control ({section.controls[name].says}) changes "
            f"nothing{beside}: the recipe evaluates the same models without it"
        )
