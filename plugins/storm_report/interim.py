"""Models of a training before its end, which `evaluation.every` evaluates beside the others."""

from __future__ import annotations

from storm_exp.report import CellRecord, StageRecord

INTERIM = "_interim"
"""What follows the name of an evaluator in that of the stage for interim models."""


def is_interim(stage: StageRecord) -> bool:
    """Return whether a stage evaluates an interim model, which no comparison has."""
    return stage.artifact == "Evaluation" and stage.stage.endswith(INTERIM)


def without_interim(cell: CellRecord) -> list[StageRecord]:
    """Return the stages of a cell but interim models and their evaluations.

    An interim model is one that is evaluated as such, and of which nothing else is made.
    """
    evaluated = {key for stage in cell.stages if is_interim(stage) for key in _inputs(stage)}
    used = {key for stage in cell.stages if not is_interim(stage) for key in _inputs(stage)}
    return [s for s in cell.stages if not is_interim(s) and s.key not in evaluated - used]


def _inputs(stage: StageRecord) -> list[str]:
    """Return the keys at the ports of a stage."""
    ports = stage.inputs.values()
    return [key for port in ports for key in ([port] if isinstance(port, str) else port)]
