"""The verb `ablate`: runs a recipe beside its controls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from storm_evaluation.evaluation import Evaluation
from storm_exp import ComposeError, Composition, Plan, carry_out, make_plan


def ablate(cells: list[Composition]) -> list[float | None]:
    """Run the arms of an ablation as one plan; the report holds the ledger.

    Raises ComposeError for a control that changes nothing.
    """
    plan = make_plan(cells)
    check_arms(plan, cells)
    carry_out(plan, cells, Path(str(cells[0].config.outputs)))
    return [None] * len(cells)


def check_arms(plan: Plan, cells: list[Composition]) -> None:
    """Raise ComposeError where an arm evaluates the same models as the reference."""
    by_arm: dict[str, set[str]] = {}
    for cell, composition in zip(plan.cells, cells, strict=True):
        arm = str(composition.config.ablation.arm)
        keys = (n.key for n in cell.needed() if n.component.output is Evaluation)
        by_arm.setdefault(arm, set()).update(keys)
    reference = by_arm.get("", set())
    for arm in _same(by_arm, reference):
        control = cells[0].config.ablation.controls[arm]
        raise ComposeError(
            f"ablation.controls.{arm}: its control ({control.says}) changes nothing: the recipe "
            "evaluates the same models without it"
        )


def _same(by_arm: dict[str, set[str]], reference: set[str]) -> Iterator[str]:
    return (arm for arm, keys in by_arm.items() if arm and keys <= reference)
