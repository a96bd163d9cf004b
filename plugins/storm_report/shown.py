"""Artifacts with contents for the report, each once, even if several cells share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.cell_names import short_settings
from storm_report.run_table import is_seed


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


def over_seeds(record: RunRecord, shown: Sequence[Shown]) -> list[tuple[str, list[Shown]]]:
    """Return the artifacts in groups that differ in their seeds alone, with a label of each."""
    settings = [_without_seeds(each) for each in short_settings(record)]
    groups: dict[tuple[str, frozenset[int]], list[Shown]] = {}
    holders = {stage.key: cells for stage, cells in _holders(record)}
    for each in shown:
        cells = frozenset(settings.index(settings[c]) for c in holders[each.stage.key])
        groups.setdefault((each.stage.label, cells), []).append(each)
    return [
        (_labelled(label, [settings[c] for c in sorted(cells)]), group)
        for (label, cells), group in groups.items()
    ]


def labelled(record: RunRecord) -> list[tuple[str, StageRecord, CellRecord]]:
    """Return every artifact once, with its label in the report and the first cell that holds it."""
    settings = short_settings(record)
    return [
        (_labelled(stage.label, [settings[c] for c in cells]), stage, record.cells[cells[0]])
        for stage, cells in _holders(record)
    ]


def _holders(record: RunRecord) -> list[tuple[StageRecord, list[int]]]:
    """Return every artifact once, with the numbers of the cells that hold it."""
    holders: dict[str, tuple[StageRecord, list[int]]] = {}
    for number, cell in enumerate(record.cells):
        for stage in cell.stages:
            holders.setdefault(stage.key, (stage, []))[1].append(number)
    return list(holders.values())


def _labelled(label: str, settings: Sequence[Mapping[str, str]]) -> str:
    """Return a label followed by the settings that all cells share."""
    first = settings[0].items()
    return " · ".join([label, *(f"{k}={v}" for k, v in first if v and _shared(k, v, settings))])


def _shared(name: str, value: str, settings: Sequence[Mapping[str, str]]) -> bool:
    return all(each[name] == value for each in settings)


def _without_seeds(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if not is_seed(name)}


def colours(record: RunRecord, artifact: str = "Checkpoint") -> dict[str, int]:
    """Return a colour per label of an artifact type: the same in every figure of a report."""
    labels = [s.label for cell in record.cells for s in cell.stages if s.artifact == artifact]
    return {label: number for number, label in enumerate(dict.fromkeys(labels))}
