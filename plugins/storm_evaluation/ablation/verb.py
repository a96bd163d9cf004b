"""The verb `ablate`: runs a recipe beside its controls."""

from __future__ import annotations

from pathlib import Path

from storm_evaluation.ablation.planned_arms import check_arms
from storm_evaluation.ablation.power import planned_power
from storm_evaluation.evaluation import Evaluation
from storm_exp import Answer, Composition, carry_out, make_plan


def ablate(cells: list[Composition]) -> Answer:
    """Run the arms of an ablation as one plan; the report holds the ledger.

    With `ablation.power`, nothing runs, and the answer is what it could see.
    The answer, for `--json`, has the metrics of the evaluations of every cell.
    Raises ComposeError where arms cannot be compared.
    """
    plan = make_plan(cells)
    controls = cells[0].config.ablation.controls
    check_arms(plan, {name: each.says for name, each in controls.items() if each is not None})
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
