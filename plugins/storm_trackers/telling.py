"""Telling a tracker of a run, as it goes and at its end, nothing twice."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp.report import RunRecord, StageRecord
from storm_trackers import curves
from storm_trackers.account import cell_accounts, files, path_of, stage_account, tables
from storm_trackers.services.service import Service

_UNTOLD = ("not reached", "not needed", "evicted")
"""Stages that have nothing to show but their line in the table of stages."""


class Telling:
    """What a tracker was told of a run so far."""

    def __init__(self, service: Service, run: RunRecord) -> None:
        """Tell of the stages that are kept: hits."""
        self._service, self._run = service, run
        self._statuses: dict[str, str] = {}
        self._steps: dict[str, set[int]] = {}
        for stage in run.stages():
            if stage.status == "kept":
                self._tell(stage)

    def look(self) -> None:
        """Tell of the optimiser steps that were written meanwhile."""
        labels = {stage.label: stage for stage in self._run.stages()}
        for label, rows in curves.running(self._run.directory).items():
            if label in labels:
                self._tell_steps(labels[label], rows)

    def hear(self, measured: dict[str, Any]) -> None:
        """Tell of a stage that was made: `key`, and fields of its record."""
        for stage in self._run.stages():
            if stage.key == measured["key"]:
                self._tell(dataclasses.replace(stage, status="made", **measured))

    def end(self, run: RunRecord) -> None:
        """Tell of all that was not told before, of tables and files; end the run."""
        self._run = run
        self.look()
        for stage in run.stages():
            if stage.status not in _UNTOLD:
                self._tell(stage)
        for cell in cell_accounts(run):
            self._service.cell(cell)
        self._service.finish(run, tables(run), files(run))

    def _tell(self, stage: StageRecord) -> None:
        """Tell of the steps that its artifact has, and how it ended, if that is news."""
        self._tell_steps(stage, curves.kept(stage))
        if self._statuses.get(stage.key) != stage.status:
            self._statuses[stage.key] = stage.status
            self._service.stage(stage_account(self._run, stage))

    def _tell_steps(self, stage: StageRecord, rows: list[curves.Row]) -> None:
        told = self._steps.setdefault(stage.key, set())
        news = [row for row in rows if int(row["step"]) not in told]
        if news:
            told.update(int(row["step"]) for row in news)
            self._service.steps(path_of(self._run, stage), news)
