"""Models whose answers a report shows beside each other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from storm_evaluation.evaluation import SAMPLES, Evaluation
from storm_evaluation.look.answers import Answered, answered
from storm_evaluation.report.lineup import Lineup
from storm_exp.report import RunRecord, StageRecord
from storm_report.cell_names import cell_name, short_settings
from storm_report.run_table import is_seed

_MODELS = 8
"""The most models that are shown beside each other."""


@dataclasses.dataclass
class ModelGroup:
    """Evaluations by the names of their models."""

    label: str
    stage: str
    """The evaluator's."""
    stages: dict[str, StageRecord]
    note: str = ""
    """Which cells they are of, where that is not said by the label."""

    @functools.cached_property
    def models(self) -> dict[str, Evaluation]:
        """The first evaluations that have kept records of questions."""
        found = {name: Path(stage.directory) for name, stage in self.stages.items()}
        kept = [(name, place) for name, place in found.items() if (place / SAMPLES).is_file()]
        return {name: Evaluation(place) for name, place in kept[:_MODELS]}

    @functools.cached_property
    def answered(self) -> list[Answered]:
        """The documents with the answers of these models, which are read once for all sections."""
        return list(answered(list(self.models.items())))


def model_groups(run: RunRecord, lineups: Sequence[Lineup]) -> list[ModelGroup]:
    """Return the models of each cell; cells that evaluate one model each, beside each other.

    Of several seeds these are the cells of the first one.
    """
    if len(lineups) < 2 or any(len(lineup.stages) > 1 for lineup in lineups):
        return [_of_cell(lineup) for lineup in lineups]
    settings = dict(zip(map(id, run.cells), short_settings(run), strict=True))
    cells = [(lineup, settings[id(lineup.cell)]) for lineup in lineups]
    seeds = {name: value for name, value in cells[0][1].items() if is_seed(name)}
    stages = {
        cell_name({k: v for k, v in own.items() if not is_seed(k)}): lineup.stages[0]
        for lineup, own in cells
        if seeds.items() <= own.items()
    }
    if len(stages) < 2:
        return [_of_cell(lineup) for lineup in lineups]
    label = cell_name(seeds) if seeds else "cells"
    note = f"Models are those of {label}." if seeds else ""
    return [ModelGroup(label, lineups[0].stages[0].stage, stages, note)]


def _of_cell(lineup: Lineup) -> ModelGroup:
    stages = {lineup.name(n): lineup.stages[n * lineup.runs] for n in range(lineup.models)}
    return ModelGroup(lineup.label, lineup.stages[0].stage, stages)
