"""What a plugin may hear of a run, and show of it in the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp._contract.hooks import hookspec

if TYPE_CHECKING:
    from storm_exp._run.record import RunRecord
    from storm_exp._run.section import Section
    from storm_exp._store.manifest import Manifest


@hookspec
def storm_report_sections(run: RunRecord) -> list[Section]:  # type: ignore[empty-body]
    """Return sections for the report of a finished run, in order."""


@hookspec(firstresult=True)
def storm_report_page(run: RunRecord, sections: list[Section]) -> Path | None:
    """Write the report, of the sections of all plugins in order; return its path."""


@hookspec(firstresult=True)
def storm_closing_table(run: RunRecord) -> tuple[list[list[str]], Path | None] | None:
    """Return the table that a run ends with, its header first, and the file that holds it."""


@hookspec
def storm_stage_finished(label: str, manifest: Manifest) -> None:
    """Hear that a stage was made (for trackers)."""


@hookspec
def storm_run_finished(run: RunRecord) -> None:
    """Hear that a run has ended and its record is written (for trackers)."""
