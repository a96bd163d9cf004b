"""What every tracker can do: show a run, its stages by step and by result, and its files."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

from storm_exp.report import RunRecord
from storm_trackers.account import CellAccount, StageAccount, Table
from storm_trackers.curves import Row


class Service(abc.ABC):
    """A run in a tracker, opened when this is created."""

    where: str
    """Where to find the run: a folder, a file or an address."""

    @abc.abstractmethod
    def steps(self, path: str, rows: Sequence[Row]) -> None:
        """Show optimiser steps of a stage; each row has its number under `step`."""

    @abc.abstractmethod
    def stage(self, account: StageAccount) -> None:
        """Show a stage that was made, kept or failed; a later call says more of the same one."""

    @abc.abstractmethod
    def cell(self, account: CellAccount) -> None:
        """Show a cell of a sweep, in one group with the run."""

    @abc.abstractmethod
    def finish(self, run: RunRecord, tables: dict[str, Table], files: dict[str, Path]) -> None:
        """Show tables and files, which have the names they get, and end the run as it ended."""


def figures(row: Row) -> dict[str, float]:
    """Return the figures of a step, without its number."""
    return {name: value for name, value in row.items() if name != "step"}
