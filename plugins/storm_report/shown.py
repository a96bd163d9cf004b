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
    return [
        Shown(label=label, stage=stage, cell=cell, contents=contents)
        for label, stage, cell in labelled(record)
        if (contents := stage.read(payload)) is not None
    ]


def labelled(record: RunRecord) -> list[tuple[str, StageRecord, CellRecord]]:
    """Return every artifact once, with its label in the report and the first cell that holds it."""
    settings = record.cell_settings()
    holders: dict[str, tuple[StageRecord, list[int]]] = {}
    for number, cell in enumerate(record.cells):
        for stage in cell.stages:
            holders.setdefault(stage.key, (stage, []))[1].append(number)
    shown = []
    for stage, cells in holders.values():
        first = settings[cells[0]].items()
        common = [f"{k}={v}" for k, v in first if v and all(settings[c][k] == v for c in cells)]
        shown.append((" · ".join([stage.label, *common]), stage, record.cells[cells[0]]))
    return shown


def colours(record: RunRecord, artifact: str = "Checkpoint") -> dict[str, int]:
    """Return a colour per label of an artifact type: the same in every figure of a report."""
    labels = [s.label for cell in record.cells for s in cell.stages if s.artifact == artifact]
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}
