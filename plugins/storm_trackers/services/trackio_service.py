"""trackio: a run for the recipe, in which every stage has its part: `finetuner/loss`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import trackio

from storm_exp.report import RunRecord
from storm_trackers.account import CellAccount, StageAccount, Table, run_facts, whole_settings
from storm_trackers.curves import Row
from storm_trackers.services.service import Service, figures


class TrackioService(Service):
    """A run in TRACKIO_DIR, at TRACKIO_SERVER_URL or in TRACKIO_SPACE_ID."""

    def __init__(self, run: RunRecord, project: str) -> None:
        """Open the run; raises trackio's errors."""
        self._project = project
        self._group = run.directory.name if run.is_sweep else None
        config = run_facts(run) | whole_settings(run)
        self._run = self._init(run.directory.name, config)
        online = (os.environ.get(name) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"))
        place = next(filter(None, online), os.environ["TRACKIO_DIR"])
        self.where = f"{place}, project {project}, run {self._run.name}"

    def steps(self, path: str, rows: Sequence[Row]) -> None:
        """Log the figures of every step."""
        for row in rows:
            named = {f"{path}/{name}": value for name, value in figures(row).items()}
            self._run.log(named, step=int(row["step"]))

    def stage(self, account: StageAccount) -> None:
        """Log metrics, and whether the stage was a hit (1 or 0)."""
        metrics = {f"{account.path}/{name}": value for name, value in account.metrics.items()}
        self._run.log({**metrics, f"{account.path}/kept": float(account.status == "kept")})

    def cell(self, account: CellAccount) -> None:
        """Log a cell as a run of the group of the sweep."""
        cell = self._init(f"{self._run.name} {account.name}", account.settings)
        cell.log(account.metrics)
        cell.finish()

    def finish(self, run: RunRecord, tables: dict[str, Table], files: dict[str, Path]) -> None:
        """Log tables, and all files as an artifact; end the run, with an alert if it failed."""
        for name, table in tables.items():
            shown = trackio.Table(columns=table.header, data=table.rows)
            self._run.log({f"tables/{name}": shown})
        artifact = trackio.Artifact(f"run-{self._run.name}", type="storm-exp-run")
        for name, file in files.items():
            artifact.add_file(str(file), name=name)
        self._run.log_artifact(artifact)
        if run.status != "finished":
            self._run.alert(f"the run is {run.status}", level=trackio.AlertLevel.ERROR)
        self._run.finish()

    def _init(self, name: str, config: Mapping[str, object]) -> trackio.Run:
        return trackio.init(
            project=self._project,
            name=name,
            group=self._group,
            config=dict(config),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
