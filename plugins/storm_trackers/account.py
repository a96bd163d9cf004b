"""What a tracker is told of a run: its stages, cells, tables and files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from storm_exp.report import RunRecord, StageRecord

LINEAGE = "lineage.json"
_95_PERCENT = 1.96
_STDERR = "_stderr"
_LARGEST_FILE = 2**20

Settings = dict[str, Any]
"""Settings by dotted name: numbers, texts, truth values; lists as JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageAccount:
    """What a tracker is told of a stage."""

    label: str
    status: str
    """made, kept (a hit), waited, failed, interrupted, not reached, or not needed."""
    settings: Settings
    """Settings, and the component under `component`."""
    metrics: dict[str, float]
    """Metrics; one with a standard error has the 95 % interval as NAME_low and NAME_high."""
    facts: dict[str, Any]
    """Key, digest, type, inputs, folder, cells, error: for people, not for charts."""

    @property
    def path(self) -> str:
        """The label as a path: `evaluator/merger` for `evaluator[merger]`."""
        return self.label.replace("[", "/").rstrip("]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellAccount:
    """What a tracker is told of a cell of a sweep."""

    name: str
    settings: Settings
    """The settings that tell the cells apart."""
    metrics: dict[str, float]
    """Main metrics, by stage and name: `evaluator/merger/accuracy`."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: a header, and rows of texts and numbers."""

    header: list[str]
    rows: list[list[Any]]


def stage_account(run: RunRecord, stage: StageRecord) -> StageAccount:
    """Return the account of a stage."""
    metrics = with_intervals(stage.metrics)
    for name, value in (("seconds", stage.seconds), ("peak_memory", stage.peak_memory)):
        if value is not None:
            metrics.setdefault(name, float(value))
    facts = {
        "key": stage.key,
        "artifact": stage.artifact,
        "digest": stage.digest,
        "inputs": json.dumps(stage.inputs),
        "directory": stage.written or stage.directory,
        "cells": ", ".join(cell.name for cell in run.cells if cell.find(stage.key)),
        "error": stage.error,
    }
    return StageAccount(
        label=stage.label,
        status=stage.status,
        settings={"component": stage.component, **flat(stage.settings)},
        metrics=metrics,
        facts={name: value for name, value in facts.items() if value},
    )


def cell_accounts(run: RunRecord) -> list[CellAccount]:
    """Return the accounts of the cells of a sweep; none for a run of one recipe."""
    if not run.is_sweep:
        return []
    return [
        CellAccount(
            name=cell.name,
            settings=dict(settings),
            metrics={
                f"{stage_account(run, stage).path}/{name}": stage.metrics[name]
                for stage in cell.stages
                for name in (stage.main_metric, *stage.shown_metrics)
                if name in stage.metrics
            },
        )
        for cell, settings in zip(run.cells, run.cell_settings(), strict=True)
    ]


def with_intervals(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics with the bounds of a 95 % interval for each that has a standard error.

    It is the normal one, value ± 1.96 standard errors.
    """
    more = dict(metrics)
    for name, value in metrics.items():
        error = metrics.get(f"{name}{_STDERR}")
        if error is not None:
            more[f"{name}_low"] = value - _95_PERCENT * error
            more[f"{name}_high"] = value + _95_PERCENT * error
    return more


def run_settings(run: RunRecord) -> Settings:
    """Return the resolved configuration of the first cell; stages are told of by themselves."""
    config = run.cells[0].config
    stages = {stage.stage for cell in run.cells for stage in cell.stages}
    own = {name: value for name, value in config.items() if name not in stages}
    facts = {"recipe": run.recipe, "scale": run.scale, "command": " ".join(run.argv)}
    return facts | flat(own)


def tables(run: RunRecord) -> dict[str, Table]:
    """Return the tables of a run: its stages, its scores, and the cells of a sweep."""
    accounts = [stage_account(run, stage) for stage in run.stages()]
    stages = [
        [a.label, a.settings["component"], a.status, a.facts["key"], a.metrics.get("seconds")]
        for a in accounts
    ]
    scores = [
        [stage.label, name, value, *_interval(with_intervals(stage.metrics), name)]
        for stage in run.stages()
        for name, value in stage.metrics.items()
        if not name.endswith(_STDERR)
    ]
    made = {
        "stages": Table(["stage", "component", "status", "key", "seconds"], stages),
        "scores": Table(["stage", "metric", "value", "low", "high"], scores),
    }
    cells = cell_accounts(run)
    if cells:
        settings, metrics = _names(c.settings for c in cells), _names(c.metrics for c in cells)
        rows = [
            [c.name, *map(c.settings.get, settings), *map(c.metrics.get, metrics)] for c in cells
        ]
        made["cells"] = Table(["cell", *settings, *metrics], rows)
    return made


def files(run: RunRecord) -> dict[str, Path]:
    """Return the files of a run by the name that they get in a tracker.

    These are all files of the run's folder itself (record, report, tables, log), the lineage, and
    the JSON files of artifacts that a report is made from: those of at most a megabyte.
    """
    found = {file.name: file for file in sorted(run.directory.iterdir()) if _is_file(file)}
    for stage in run.stages():
        folder = Path(stage.directory) if stage.directory else None
        for file in sorted(folder.glob("*.json")) if folder else []:
            if file.stat().st_size <= _LARGEST_FILE:
                found[f"stages/{stage_account(run, stage).path}/{file.name}"] = file
    return found | {LINEAGE: _write_lineage(run)}


def flat(values: dict[str, Any], prefix: str = "") -> Settings:
    """Return nested settings by dotted name."""
    found: Settings = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | dict):
            found[f"{prefix}{name}"] = json.dumps(value)
        else:
            found[f"{prefix}{name}"] = value
    return found


def _write_lineage(run: RunRecord) -> Path:
    """Write which artifact was made from which; return the file."""
    artifacts = {
        stage.key: {
            "stage": stage.label,
            "component": stage.component,
            "artifact": stage.artifact,
            "status": stage.status,
            "digest": stage.digest,
            "inputs": stage.inputs,
        }
        for stage in run.stages()
    }
    file = run.directory / "tracker" / LINEAGE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(artifacts, indent=1) + "\n", encoding="utf-8")
    return file


def _interval(metrics: dict[str, float], name: str) -> list[float | None]:
    return [metrics.get(f"{name}_low"), metrics.get(f"{name}_high")]


def _names(found: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each))


def _is_file(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and not file.name.startswith(".")
