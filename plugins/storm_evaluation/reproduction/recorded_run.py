"""A run as something to reproduce."""

from __future__ import annotations

from typing import Any

from storm_evaluation.reproduction.original import Original, Step, store_of
from storm_evaluation.reproduction.recipe_file import Stages, lacking, recipe_body
from storm_exp import InputError
from storm_exp.report import CellRecord, RunRecord

_AGAIN = ("seed", "runtime")
"""Root sections that the rerun takes from the record."""


def read_run(record: RunRecord, name: str = "") -> Original:
    """Return what a run made, as steps, and recipes that make it again.

    It is called by its folder if no `name` is given.
    Raises InputError for a rehearsal, and for a run that made nothing.
    """
    name = name or record.directory.name
    if record.rehearsal:
        raise InputError(f"{name} is a rehearsal: its artifacts stand in for others")
    cells = [_finished(record, cell) for cell in record.cells]
    if not any(cells):
        raise InputError(f"{name} made nothing that could be compared ({record.status})")
    notes: list[str] = []
    stages = [_stages(cell, steps) for cell, steps in zip(record.cells, cells, strict=True)]
    lacks = list(dict.fromkeys(line for each in stages for line in lacking(each)))
    recipes = (
        []
        if lacks
        else [
            recipe_body(each, cell.config["graph"], _sections(record, cell))
            for each, cell in zip(stages, record.cells, strict=True)
        ]
    )
    if record.status != "finished":
        notes.append(f"the run {record.status}: only what it made is compared")
    return Original(
        name=name,
        recipes=recipes,
        cells=cells,
        environment=record.environment,
        notes=notes,
        lacking=lacks,
    )


def _finished(record: RunRecord, cell: CellRecord) -> list[Step]:
    """Return the steps of a cell of which the run knew the files."""
    store = store_of(record, cell)
    return [Step.of(stage, store) for stage in cell.stages if stage.digest]


def _stages(cell: CellRecord, steps: list[Step]) -> Stages:
    """Return the components and settings of what steps need, inputs first."""
    needed = _with_inputs(cell, {step.label.partition("[")[0] for step in steps})
    return {
        stage.stage: (
            stage.component,
            {k: v for k, v in cell.config[stage.stage].items() if k != "component"},
        )
        for stage in cell.stages
        if stage.stage in needed
    }


def _sections(record: RunRecord, cell: CellRecord) -> dict[str, Any]:
    """Return the root sections for the rerun, with as many threads as there were."""
    sections = {name: cell.config[name] for name in _AGAIN}
    if not sections["runtime"].get("threads"):
        sections["runtime"] = {
            **sections["runtime"],
            "threads": record.environment.get("threads", 0),
        }
    return sections


def _with_inputs(cell: CellRecord, names: set[str]) -> set[str]:
    """Return stages with all that they are made from."""
    by_key = {stage.key: stage for stage in cell.stages}
    needed, waiting = set[str](), [stage for stage in cell.stages if stage.stage in names]
    while waiting:
        stage = waiting.pop()
        needed.add(stage.stage)
        for keys in stage.inputs.values():
            for key in [keys] if isinstance(keys, str) else keys:
                if key in by_key and by_key[key].stage not in needed:
                    waiting.append(by_key[key])
    return needed
