"""The models of a run that were evaluated together, in the order of their comparison."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_evaluation.report.steps import steps
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.cell_names import cell_name, short_settings
from storm_report.interim import is_interim
from storm_report.shown import distinct


@dataclasses.dataclass
class Lineup:
    """The models of a cell that are compared, in order."""

    label: str
    cell: CellRecord
    stages: list[StageRecord]
    evaluations: list[dict[str, Any]]
    comparison: dict[str, Any] | None
    rehearsed: bool = False
    """Whether the scores come from a rehearsal and have no meaning."""

    @property
    def runs(self) -> int:
        """The number of runs of each model."""
        return int((self.comparison or {}).get("runs", 1))

    @property
    def models(self) -> int:
        """The number of models."""
        return len(self.stages) // self.runs

    def name(self, position: int) -> str:
        """Return the name of a model, of several runs that of the first."""
        stage = self.stages[position * self.runs]
        return stage.element or stage.label

    def steps(self) -> list[tuple[int, int]]:
        """Return (parent, child) of models of which one was made from the other."""
        keys = [str(s.inputs.get("model", "")) for s in self.stages[:: self.runs]]
        return steps(self.cell, keys)

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the entries of all tasks of any model."""
        return {task: entry for e in self.evaluations for task, entry in e["tasks"].items()}


def find_lineups(run: RunRecord) -> list[Lineup]:
    """Return the models to show together; cells with the same models are shown once."""
    contents = {s.stage.key: s.contents for s in distinct(run, "evaluation.json")}
    compared = distinct(run, "comparison.json")
    lineups: dict[tuple[str, ...], Lineup] = {}
    for cell, settings in zip(run.cells, short_settings(run), strict=True):
        name = cell_name(settings) if run.is_sweep else "evaluations"
        comparisons = [s for s in compared if s.stage.key in {x.key for x in cell.stages}]
        for shown in comparisons:
            keys = shown.stage.inputs.get("evaluations", [])
            _add(lineups, cell, shown.label, keys, contents, shown.contents)
        if not comparisons:
            keys = [s.key for s in cell.stages if s.key in contents and not is_interim(s)]
            _add(lineups, cell, name, keys, contents, None)
    return list(lineups.values())


def _add(
    lineups: dict[tuple[str, ...], Lineup],
    cell: CellRecord,
    label: str,
    keys: list[str],
    contents: dict[str, Any],
    comparison: dict[str, Any] | None,
) -> None:
    stages = [stage for key in keys if (stage := cell.find(key)) and key in contents]
    if stages and len(stages) == len(keys):
        evaluations = [contents[key] for key in keys]
        lineups.setdefault(tuple(keys), Lineup(label, cell, stages, evaluations, comparison))
