"""TensorBoard: event files in the run's folder, in a folder for every stage."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from storm_exp.report import RunRecord
from storm_trackers.account import CellAccount, StageAccount, Table, run_facts, whole_settings
from storm_trackers.curves import Row
from storm_trackers.services.service import Service, figures


class TensorBoardService(Service):
    """Event files in `tracker/` of the run's folder."""

    def __init__(self, run: RunRecord) -> None:
        """Write the settings of the run."""
        self._folder = run.directory / "tracker"
        self._writers: dict[str, EventFileWriter] = {}
        self.where = str(self._folder)
        settings = run_facts(run) | whole_settings(run)
        self._text("", "settings", Table(["setting", "value"], list(map(list, settings.items()))))

    def steps(self, path: str, rows: Sequence[Row]) -> None:
        """Write the figures of every step, under the stage."""
        for row in rows:
            self._scalars(path, figures(row), int(row["step"]))
        self._writer(path).flush()

    def stage(self, account: StageAccount) -> None:
        """Write metrics, and settings and facts as a text."""
        self._scalars(account.path, account.metrics)
        told = {"status": account.status, **account.settings, **account.facts}
        self._text(account.path, "stage", Table(["", "value"], list(map(list, told.items()))))

    def cell(self, account: CellAccount) -> None:
        """Write a cell for the dashboard of hyperparameters."""
        path = f"cells/{account.name}"
        hparams = {name: _hparam(value) for name, value in account.settings.items()}
        self._write(path, hparams_pb(hparams, trial_id=account.name))
        self._scalars(path, account.metrics)

    def finish(self, run: RunRecord, tables: dict[str, Table], files: dict[str, Path]) -> None:
        """Write tables as texts, and where the files are, which stay where they are."""
        listed = {"status": run.status, **{name: str(file) for name, file in files.items()}}
        shown = {**tables, "files": Table(["file", "place"], list(map(list, listed.items())))}
        for name, table in shown.items():
            self._text("", name, table)
        for writer in self._writers.values():
            writer.close()

    def _writer(self, path: str) -> EventFileWriter:
        if path not in self._writers:
            self._writers[path] = EventFileWriter(str(self._folder / path))
        return self._writers[path]

    def _write(self, path: str, summary: Summary, step: int = 0) -> None:
        self._writer(path).add_event(Event(step=step, wall_time=time.time(), summary=summary))

    def _scalars(self, path: str, values: Mapping[str, float], step: int = 0) -> None:
        shown = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(path, Summary(value=shown), step)

    def _text(self, path: str, name: str, table: Table) -> None:
        self._write(path, text_pb(name, _markdown(table)))
        self._writer(path).flush()


def _hparam(value: Any) -> str | float | bool:
    """Return a value that can be a hyperparameter."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def _markdown(table: Table) -> str:
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join(f"|{'|'.join(map(_cell, row))}|" for row in rows)


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
