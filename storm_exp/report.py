"""What a plugin's part of the report is made of: sections, the record of a run, and its tables."""

from storm_exp._contract.plugins import root_sections
from storm_exp._run.record import CellRecord, RunRecord, StageRecord
from storm_exp._run.section import Place, Section, duration
from storm_exp._run.sweep import (
    Measure,
    cell_settings,
    comparable,
    is_seed,
    measures,
    summarise,
    sweep_table,
)

__all__ = [
    "CellRecord",
    "Measure",
    "Place",
    "RunRecord",
    "Section",
    "StageRecord",
    "cell_settings",
    "comparable",
    "duration",
    "is_seed",
    "measures",
    "root_sections",
    "summarise",
    "sweep_table",
]
