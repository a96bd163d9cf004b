"""The sections of every report (sweep, stages, settings, machine), and charts for others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the sections of any run, and the style of every chart and table."""
    from storm_report.sections import sections

    return sections(run)


@hookimpl
def storm_closing_table(run: RunRecord) -> tuple[list[list[str]], Path | None]:
    """Return the rows of a run's table; a sweep's is written to `sweep.csv`, too."""
    from storm_report.run_table import stage_rows, sweep_table, write_sweep_table

    if not run.is_sweep:
        return stage_rows(run), None
    header, rows = sweep_table(run)
    return [header, *rows], write_sweep_table(run)


@hookimpl
def storm_report_page(run: RunRecord, sections: list[Section]) -> Path:
    """Write the report as one HTML file."""
    from storm_report.page import write_page

    return write_page(run, sections)
