"""MLflow: a run for the recipe, with a nested run for every stage and cell."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from storm_exp.report import RunRecord
from storm_trackers.account import CellAccount, StageAccount, Table, run_facts, run_settings
from storm_trackers.curves import Row
from storm_trackers.services.service import Service, figures

_BATCH = 100
"""Most parameters, and a tenth of the most metrics, that MLflow takes at once."""
_ENDED = {"finished": "FINISHED", "interrupted": "KILLED", "running": "KILLED"}
_STAGE_ENDED = {"failed": "FAILED", "interrupted": "KILLED"}


class MLflowService(Service):
    """A run in the database beside the runs, `mlflow.db`, or at MLFLOW_TRACKING_URI."""

    def __init__(self, run: RunRecord, project: str, outputs: Path) -> None:
        """Open the run; raises MLflow's errors."""
        server = os.environ.get("MLFLOW_TRACKING_URI")
        uri = server or f"sqlite:///{outputs / 'mlflow.db'}"
        self._client = MlflowClient(uri)
        self._experiment = self._find_experiment(
            project, None if server else str(outputs / "mlartifacts")
        )
        self._runs: dict[str, str] = {}
        self._root = self._create(run.directory.name, run_facts(run))
        self._log(self._root, params=run_settings(run))
        self.where = f"{uri}, experiment {project}, run {self._root}"

    def steps(self, path: str, rows: Sequence[Row]) -> None:
        """Log every figure of every step to the stage's run."""
        now = _milliseconds()
        metrics = [
            Metric(_name(name), value, now, int(row["step"]))
            for row in rows
            for name, value in figures(row).items()
        ]
        for some in _batches(metrics, 10 * _BATCH):
            self._client.log_batch(self._nested(path), metrics=some)

    def stage(self, account: StageAccount) -> None:
        """Log settings, metrics and facts to the stage's run, and end it."""
        seconds = account.metrics.get("seconds", 0.0) if account.status == "made" else 0.0
        nested = self._nested(account.path, _milliseconds() - int(1000 * seconds))
        self._log(nested, account.settings, account.metrics)
        facts = {"status": account.status, **account.facts}
        tags = [RunTag(f"storm_exp.{name}", str(value)) for name, value in facts.items()]
        self._client.log_batch(nested, tags=tags)
        self._client.set_terminated(nested, _STAGE_ENDED.get(account.status, "FINISHED"))

    def cell(self, account: CellAccount) -> None:
        """Log a cell as a nested run."""
        nested = self._create(account.name, {"kind": "cell"}, self._root)
        self._log(nested, account.settings, account.metrics)
        self._client.set_terminated(nested)

    def finish(self, run: RunRecord, tables: dict[str, Table], files: dict[str, Path]) -> None:
        """Log tables as CSV files, and all files; end the run."""
        for name, table in tables.items():
            self._client.log_text(self._root, _as_csv(table), f"tables/{name}.csv")
        for name, file in files.items():
            below = PurePosixPath(name).parent
            self._client.log_artifact(self._root, str(file), str(below) if below.name else None)
        self._client.set_tag(self._root, "storm_exp.status", run.status)
        self._client.set_terminated(self._root, _ENDED.get(run.status, "FAILED"))

    def _find_experiment(self, name: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=artifacts))

    def _nested(self, path: str, started: int | None = None) -> str:
        """Return the run of a stage, which is created when it is first needed."""
        if path not in self._runs:
            self._runs[path] = self._create(path, {"kind": "stage"}, self._root, started)
        return self._runs[path]

    def _create(
        self, name: str, facts: Mapping[str, Any], parent: str = "", started: int | None = None
    ) -> str:
        tags = {f"storm_exp.{fact}": str(value) for fact, value in facts.items()}
        if parent:
            tags["mlflow.parentRunId"] = parent
        run = self._client.create_run(self._experiment, started, tags, name)
        return str(run.info.run_id)

    def _log(
        self, run: str, params: Mapping[str, Any], metrics: Mapping[str, float] | None = None
    ) -> None:
        told = [Param(_name(name), str(value)) for name, value in params.items()]
        for some in _batches(told, _BATCH):
            self._client.log_batch(run, params=some)
        now = _milliseconds()
        measured = [Metric(_name(name), value, now, 0) for name, value in (metrics or {}).items()]
        for several in _batches(measured, _BATCH):
            self._client.log_batch(run, metrics=several)


def _batches(items: list[Any], most: int) -> Iterable[list[Any]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _name(name: str) -> str:
    """Return a name of the characters that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _milliseconds() -> int:
    return int(1000 * time.time())


def _as_csv(table: Table) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()
