"""The verb `ablate`: runs a recipe beside its controls."""

from __future__ import annotations

from pathlib import Path

from storm_evaluation.evaluation import Evaluation
from storm_exp import Answer, ComposeError, Composition, Plan, carry_out, make_plan


def ablate(cells: list[Composition]) -> Answer:
    """Run the arms of an ablation as one plan; the report holds the ledger.

    The answer, for `--json`, has the metrics of the evaluations of every cell.
    Raises ComposeError for a control that changes nothing.
    """
    plan = make_plan(cells)
    check_arms(plan, cells)
    record = carry_out(plan, cells, Path(str(cells[0].config.outputs)))
    items = [
        {"cell": cell.name, "stage": stage.label, "status": stage.status, "metrics": stage.metrics}
        for cell in record.cells
        for stage in cell.of_type(Evaluation.__name__)
    ]
    return Answer("ablate", items, notes=[f"report: {record.directory / 'report.html'}"])


def check_arms(plan: Plan, cells: list[Composition]) -> None:
    """Raise ComposeError where an arm evaluates the same models as the reference."""
    by_arm: dict[str, set[str]] = {}
    for cell, composition in zip(plan.cells, cells, strict=True):
        arm = str(composition.config.ablation.arm)
        evaluated = (n.key for n in cell.needed() if n.component.output is Evaluation)
        by_arm.setdefault(arm, set()).update(evaluated)
    reference = by_arm.get("", set())
    for arm, keys in by_arm.items():
        if arm and keys <= reference:
            control = cells[0].config.ablation.controls[arm]
            raise ComposeError(
                f"ablation.controls.{arm}: its control ({control.says}) changes nothing: the "
                "recipe evaluates the same models without it"
            )
