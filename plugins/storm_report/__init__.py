"""The sections of every report (sweep, stages, settings, machine), and charts for others.

The verbs about runs and their store are here too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp import Plan
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_describe_environment() -> dict[str, Any]:
    """Return machine, versions and commit."""
    from storm_report.machine import describe_environment

    return describe_environment()


@hookimpl
def storm_memory_meter() -> AbstractContextManager[Callable[[], int]]:
    """Return what measures the memory of a stage."""
    from storm_report.memory import memory_meter

    return memory_meter()


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the sections of any run."""
    from storm_report.sections import sections

    return sections(run)


@hookimpl
def storm_closing_table(run: RunRecord) -> tuple[list[list[str]], Path | None]:
    """Return the rows of a run's table; of a sweep, write `sweep.csv` and `cells.csv`, too."""
    from storm_report.run_table import stage_rows, sweep_table, write_sweep_table

    if not run.is_sweep:
        return stage_rows(run), None
    from storm_report.whereabouts import write_cells

    header, rows = sweep_table(run)
    write_cells(run)
    return [header, *rows], write_sweep_table(run)


@hookimpl
def storm_report_page(run: RunRecord, sections: list[Section]) -> Path:
    """Write the report as one HTML file."""
    from storm_report.page import write_page

    return write_page(run, sections)


@hookimpl
def storm_closing_lines(run: RunRecord) -> list[str]:
    """Return where the models of a run are, and how a sweep chose its cells."""
    from storm_report.sweep_notes import notes_lines
    from storm_report.whereabouts import whereabouts

    return [*whereabouts(run), *notes_lines(run)]


@hookimpl
def storm_plan_notices(plan: Plan) -> list[str]:
    """Return how many memos are kept of what is in a plan."""
    from storm_report.store.memos import memo_notices

    return memo_notices(plan)


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verbs about runs and their store."""
    from storm_report.runs.report_verb import report
    from storm_report.runs.verb import runs
    from storm_report.store.verb import store

    return {"report": report, "runs": runs, "store": store}


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind the verbs: actions and runs."""
    from storm_report.completions import behind_runs, behind_store, run_names

    return {"report": run_names, "runs": behind_runs, "store": behind_store}
