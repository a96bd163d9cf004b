"""Sweeps: one table over cells, with mean and spread over seeds and only what differs."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from storm_exp.record import CellRecord, RunRecord

TABLE = "sweep.csv"


def cell_settings(record: RunRecord) -> list[dict[str, str]]:
    """Return per cell the overrides whose value is not the same in all cells."""
    parsed = [
        {name.lstrip("+"): value for name, _, value in (o.partition("=") for o in cell.overrides)}
        for cell in record.cells
    ]
    names = list(dict.fromkeys(name for cell in parsed for name in cell))
    varying = [name for name in names if len({cell.get(name, "") for cell in parsed}) > 1]
    return [{name: cell.get(name, "") for name in varying} for cell in parsed]


def is_seed(setting: str) -> bool:
    """Return whether a setting is a seed, over which results are averaged."""
    return setting.rpartition(".")[2] == "seed"


def main_metrics(cell: CellRecord) -> dict[str, float]:
    """Return the main metric of every stage of a cell that has one, by label."""
    return {
        stage.label: stage.metrics[stage.main_metric]
        for stage in cell.stages
        if stage.main_metric in stage.metrics
    }


def groups(record: RunRecord) -> list[tuple[dict[str, str], list[CellRecord]]]:
    """Return the cells grouped by the settings that differ, seeds aside."""
    found: dict[tuple[tuple[str, str], ...], list[CellRecord]] = {}
    for settings, cell in zip(cell_settings(record), record.cells, strict=True):
        key = tuple((name, value) for name, value in settings.items() if not is_seed(name))
        found.setdefault(key, []).append(cell)
    return [(dict(key), cells) for key, cells in found.items()]


def spread(values: list[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (0 for one value)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance)


def summarise(record: RunRecord) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return (settings, metrics, rows); a row holds settings, cells, and (mean, spread, n)."""
    rows: list[dict[str, Any]] = []
    for settings, cells in groups(record):
        values: dict[str, list[float]] = {}
        for cell in cells:
            for label, value in main_metrics(cell).items():
                values.setdefault(label, []).append(value)
        rows.append(
            {
                "settings": settings,
                "cells": [cell.name for cell in cells],
                "metrics": {label: (*spread(v), len(v)) for label, v in values.items()},
            }
        )
    labels = list(dict.fromkeys(label for row in rows for label in row["metrics"]))
    varying = [
        label
        for label in labels
        if len({row["metrics"].get(label, (None,))[0] for row in rows}) > 1
    ]
    return list(rows[0]["settings"]) if rows else [], varying or labels, rows


def sweep_table(record: RunRecord) -> tuple[list[str], list[list[str]]]:
    """Return header and rows for the screen: settings that differ, metrics that differ."""
    settings, labels, rows = summarise(record)
    seeds = max((len(row["cells"]) for row in rows), default=1)
    header = [*settings, *(["n"] if seeds > 1 else []), *labels]
    lines = []
    for row in rows:
        figures = [_show(row["metrics"].get(label)) for label in labels]
        count = [str(len(row["cells"]))] if seeds > 1 else []
        lines.append([*row["settings"].values(), *count, *figures])
    return header, lines


def write_sweep_table(record: RunRecord) -> Path:
    """Write `sweep.csv`: mean, spread and count of every stage's main metric; return its path."""
    settings, _, rows = summarise(record)
    labels = list(dict.fromkeys(label for row in rows for label in row["metrics"]))
    file = record.directory / TABLE
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        columns = [c for label in labels for c in (label, f"{label} sd", f"{label} n")]
        writer.writerow([*settings, "cells", *columns])
        for row in rows:
            figures: list[Any] = []
            for label in labels:
                figures += row["metrics"].get(label, ("", "", 0))
            writer.writerow([*row["settings"].values(), len(row["cells"]), *figures])
    return file


def _show(figure: tuple[float, float, int] | None) -> str:
    if figure is None:
        return ""
    mean, deviation, count = figure
    return f"{mean:.4g} ± {deviation:.2g}" if count > 1 else f"{mean:.4g}"
