"""Artifacts with contents for the report, each once, even if several cells share it."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp.report import CellRecord, RunRecord, StageRecord


@dataclasses.dataclass(kw_only=True)
class Shown:
    """An artifact with contents for the report."""

    label: str
    """The stage's label, in a sweep followed by the differing settings that its cells share."""
    stage: StageRecord
    cell: CellRecord
    """The first cell that holds it."""
    contents: Any


def distinct(record: RunRecord, payload: str) -> list[Shown]:
    """Return every artifact once whose payload has the JSON file `payload`."""
    settings = record.cell_settings()
    holders: dict[str, tuple[StageRecord, list[int]]] = {}
    for number, cell in enumerate(record.cells):
        for stage in cell.stages:
            holders.setdefault(stage.key, (stage, []))[1].append(number)
    shown = []
    for stage, cells in holders.values():
        contents = stage.read(payload)
        if contents is None:
            continue
        first = settings[cells[0]].items()
        common = [f"{k}={v}" for k, v in first if all(settings[c][k] == v for c in cells)]
        shown.append(
            Shown(
                label=" · ".join([stage.label, *common]),
                stage=stage,
                cell=record.cells[cells[0]],
                contents=contents,
            )
        )
    return shown


def colours(record: RunRecord, artifact: str = "Checkpoint") -> dict[str, int]:
    """Return a colour per label of an artifact type: the same in every figure of a report."""
    labels = [s.label for cell in record.cells for s in cell.stages if s.artifact == artifact]
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}
