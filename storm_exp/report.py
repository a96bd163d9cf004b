"""For plugins that add to the report: sections, and the record of a run."""

from storm_exp._contract.plugins import root_sections
from storm_exp._run.record import CellRecord, RunRecord, StageRecord
from storm_exp._run.report import write_report
from storm_exp._run.section import Place, Section, duration

__all__ = [
    "CellRecord",
    "Place",
    "RunRecord",
    "Section",
    "StageRecord",
    "duration",
    "root_sections",
    "write_report",
]
