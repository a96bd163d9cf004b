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
_LONGEST_NAME = 100

Settings = dict[str, Any]
"""Settings by dotted name: numbers, texts, truth values; lists as JSON."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageAccount:
    """What a tracker is told of a stage."""

    path: str
    """`merger`, `evaluator/merger` for `evaluator[merger]`; and, where the cells of a sweep have
    several stages of this name, the first cell that has this one: `merger/merger.t=0.3`."""
    status: str
    """made, kept (a hit), waited, failed, interrupted, not reached, or not needed."""
    settings: Settings
    """Settings, and the component under `component`."""
    metrics: dict[str, float]
    """Metrics; one with a standard error has the 95 % interval as NAME_low and NAME_high."""
    facts: dict[str, Any]
    """Key, digest, type, inputs, folder, cells, error: for people, not for charts."""


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
        path=path_of(run, stage),
        status=stage.status,
        settings={"component": stage.component, **flat(stage.settings)},
        metrics=metrics,
        facts={name: value for name, value in facts.items() if value},
    )


def path_of(run: RunRecord, stage: StageRecord) -> str:
    """Return the name of a stage in a tracker, which no other stage of the run has."""
    path = _path(stage)
    if len({other.key for other in run.stages() if other.label == stage.label}) == 1:
        return path
    number, cell = next((n, c) for n, c in enumerate(run.cells) if c.find(stage.key))
    name = cell.name if len(cell.name) <= _LONGEST_NAME else f"{number} {cell.name[:_LONGEST_NAME]}"
    return f"{path}/{name}"


def cell_accounts(run: RunRecord) -> list[CellAccount]:
    """Return the accounts of the cells of a sweep; none for a run of one recipe."""
    if not run.is_sweep:
        return []
    return [
        CellAccount(
            name=cell.name,
            settings=dict(settings),
            metrics={
                f"{_path(stage)}/{name}": stage.metrics[name]
                for stage in cell.stages
                for name in (stage.main_metric, *stage.shown_metrics)
                if name in stage.metrics
            },
        )
        for cell, settings in zip(run.cells, run.cell_settings(), strict=True)
    ]


def with_intervals(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics with the bounds of a 95 % interval for each that has a standard error above 0.

    It is the normal one, value ± 1.96 standard errors. Where all documents scored alike, the error
    is 0, and the normal interval is none.
    """
    more = dict(metrics)
    for name, value in metrics.items():
        error = metrics.get(f"{name}{_STDERR}")
        if error:
            more[f"{name}_low"] = value - _95_PERCENT * error
            more[f"{name}_high"] = value + _95_PERCENT * error
    return more


def run_facts(run: RunRecord) -> dict[str, str]:
    """Return what a run is: recipe, size, name, tags, command, commit."""
    commit = run.environment.get("git", {}).get("commit", "")
    facts = {"recipe": run.recipe, "scale": run.scale, "commit": commit}
    facts |= {"name": run.name, "tags": ", ".join(run.tags)}
    return {**facts, "command": " ".join(run.argv), "folder": str(run.directory)}


def whole_settings(run: RunRecord) -> Settings:
    """Return the resolved settings that all cells share, by dotted name."""
    first, *others = (flat(cell.config) for cell in run.cells)
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }


def run_settings(run: RunRecord) -> Settings:
    """Return those of `whole_settings` that are not of a stage."""
    stages = {stage.stage for cell in run.cells for stage in cell.stages}
    settings = whole_settings(run).items()
    return {name: value for name, value in settings if name.partition(".")[0] not in stages}


def tables(run: RunRecord) -> dict[str, Table]:
    """Return the tables of a run: its stages, its scores, and the cells of a sweep."""
    accounts = [stage_account(run, stage) for stage in run.stages()]
    stages = [
        [a.path, a.settings["component"], a.status, a.facts["key"], a.metrics.get("seconds")]
        for a in accounts
    ]
    scores = [
        [path_of(run, stage), name, value, *_interval(with_intervals(stage.metrics), name)]
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
                found[f"stages/{path_of(run, stage)}/{file.name}"] = file
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


def _path(stage: StageRecord) -> str:
    return stage.label.replace("[", "/").rstrip("]")


def _interval(metrics: dict[str, float], name: str) -> list[float | None]:
    return [metrics.get(f"{name}_low"), metrics.get(f"{name}_high")]


def _names(found: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each))


def _is_file(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and not file.name.startswith(".")
