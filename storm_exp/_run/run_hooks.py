"""Hooks by which a plugin follows runs and reports on them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp._contract.plugin_hooks import hookspec

if TYPE_CHECKING:
    from storm_exp._run.answer import Answer
    from storm_exp._run.record import RunRecord
    from storm_exp._run.run import Composition
    from storm_exp._run.section import Section
    from storm_exp._store.manifest import Manifest


@hookspec
def storm_actions() -> dict[str, Callable[[list[Composition]], list[float | None] | Answer]]:  # type: ignore[empty-body]
    """Return verbs for which the rest of the command line is composed: functions of the cells.

    They return the objective of each cell, which may be None, or the Answer that `--json` prints.
    The attribute `words` of a function holds what is put before the rest of the command line.
    `storm_verbs` is for other verbs.
    """


@hookspec(firstresult=True)
def storm_describe_environment() -> dict[str, Any] | None:
    """Return machine, versions and commit for the record of a run; they are part of no key."""


@hookspec(firstresult=True)
def storm_memory_meter() -> AbstractContextManager[Callable[[], int]] | None:
    """Return a context in which a stage runs; it yields a function: the peak memory in bytes."""


@hookspec(firstresult=True)
def storm_complete(line: str) -> list[str] | None:
    """Return what a shell may offer at the end of a line; None or nothing leaves it to Hydra."""


@hookspec
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:  # type: ignore[empty-body]
    """Return for verbs what may stand behind the words that were typed behind them."""


@hookspec
def storm_report_sections(run: RunRecord) -> list[Section]:  # type: ignore[empty-body]
    """Return sections of the report of a finished run, in order."""


@hookspec(firstresult=True)
def storm_report_page(run: RunRecord, sections: list[Section]) -> Path | None:
    """Write a report with the sections of all plugins, in this order; return its path."""


@hookspec(firstresult=True)
def storm_closing_table(run: RunRecord) -> tuple[list[list[str]], Path | None] | None:
    """Return the closing table of a run, as rows with the header first, and a file with it."""


@hookspec
def storm_closing_lines(run: RunRecord) -> list[str]:  # type: ignore[empty-body]
    """Return lines that a run ends with, such as where its models are."""


@hookspec
def storm_run_started(run: RunRecord) -> None:
    """Be notified of a run before its first stage (for trackers).

    Of a stage that is to be made, the record says `not reached`. The run's folder exists.
    """


@hookspec
def storm_stage_finished(run: RunRecord, label: str, manifest: Manifest) -> None:
    """Be notified of a stage that was made (for trackers)."""


@hookspec
def storm_run_finished(run: RunRecord) -> None:
    """Be notified of the end of a run, after its record and report were written (for trackers).

    A line that is added to `run.problems`, here or in the hooks above, is kept in the record.
    """
