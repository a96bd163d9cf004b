"""What a plugin's part of the report is made of: sections, and the record of a run."""

from storm_exp._contract.plugins import root_sections
from storm_exp._run.record import CellRecord, RunRecord, StageRecord
from storm_exp._run.section import Place, Section, duration

__all__ = [
    "CellRecord",
    "Place",
    "RunRecord",
    "Section",
    "StageRecord",
    "duration",
    "root_sections",
]
