"""Tables of a run: its stages, or a sweep's cells with mean and spread over seeds."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.interim import without_interim
from storm_report.markup import number
from storm_report.spreadsheet import inert

TABLE = "sweep.csv"


def is_seed(setting: str) -> bool:
    """Return whether a setting is a seed, over which results are averaged."""
    return setting.rpartition(".")[2] == "seed"


def stage_rows(record: RunRecord) -> list[list[str]]:
    """Return a header, and a row for every stage of a run of one recipe."""
    rows = [["stage", "component", "", "seconds", "main metric"]]
    for stage in record.cells[0].stages:
        seconds = f"{stage.seconds:.1f}" if stage.status == "made" and stage.seconds else ""
        name = stage.main_metric
        metric = f"{name} {stage.metrics[name]:.4g}" if name in stage.metrics else ""
        rows.append([stage.label, stage.component, stage.status, seconds, metric])
    return rows


@dataclasses.dataclass(frozen=True)
class Measure:
    """A metric of a stage, which is a column in a table of cells."""

    stage: StageRecord
    metric: str

    @property
    def column(self) -> str:
        """The stage's label; for a metric beside its main metric, followed by the metric's name."""
        main = self.metric == self.stage.main_metric
        return self.stage.label if main else f"{self.stage.label} {self.metric}"

    @property
    def value(self) -> float:
        """The metric's value."""
        return self.stage.metrics[self.metric]

    @property
    def stderr(self) -> float | None:
        """Its standard error over the measured items, None if the stage reports none."""
        return self.stage.metrics.get(f"{self.metric}_stderr")

    @property
    def on(self) -> str:
        """Digest of what it was measured on, empty if the stage reports none."""
        return self.stage.measured_on.get(self.metric, "")


def measures(cell: CellRecord, *, every_stage: bool = False) -> list[Measure]:
    """Return the main metric of the stages of a cell, each with those shown beside it.

    Interim models are among them only where `every_stage` is.
    """
    return [
        Measure(stage, metric)
        for stage in (cell.stages if every_stage else without_interim(cell))
        for metric in dict.fromkeys((stage.main_metric, *stage.shown_metrics))
        if metric in stage.metrics
    ]


def groups(record: RunRecord) -> list[tuple[dict[str, str], list[CellRecord]]]:
    """Return the cells grouped by the settings that differ, seeds aside."""
    grouped: dict[tuple[tuple[str, str], ...], list[CellRecord]] = {}
    for settings, cell in zip(record.cell_settings(), record.cells, strict=True):
        key = tuple((name, value) for name, value in settings.items() if not is_seed(name))
        grouped.setdefault(key, []).append(cell)
    return [(dict(key), cells) for key, cells in grouped.items()]


def spread(values: list[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (0 for one value)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance)


def summarise(
    record: RunRecord, *, every_stage: bool = False
) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return (settings, columns, rows).

    A row holds `settings`, the names of `cells`, and by column: `metrics` as (mean, spread, n),
    digests of what they were measured `on`, and the standard error of a single run as `stderr`.
    """
    rows: list[dict[str, Any]] = []
    for settings, cells in groups(record):
        values: dict[str, list[float]] = {}
        on: dict[str, set[str]] = {}
        stderr: dict[str, float] = {}
        for cell in cells:
            for measure in measures(cell, every_stage=every_stage):
                values.setdefault(measure.column, []).append(measure.value)
                on.setdefault(measure.column, set()).add(measure.on)
                if len(cells) == 1 and measure.stderr is not None:
                    stderr[measure.column] = measure.stderr
        rows.append(
            {
                "settings": settings,
                "cells": [cell.name for cell in cells],
                "metrics": {label: (*spread(v), len(v)) for label, v in values.items()},
                "on": {label: tuple(sorted(digests)) for label, digests in on.items()},
                "stderr": stderr,
            }
        )
    labels = list(dict.fromkeys(label for row in rows for label in row["metrics"]))
    varying = [
        label
        for label in labels
        if len({row["metrics"].get(label, (None,))[0] for row in rows}) > 1
    ]
    return list(rows[0]["settings"]) if rows else [], varying or labels, rows


def comparable(column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the rows' figures of a column were measured on the same items."""
    return len({row["on"][column] for row in rows if column in row["on"]}) < 2


def sweep_table(record: RunRecord) -> tuple[list[str], list[list[str]]]:
    """Return header and rows for the screen: settings that differ, metrics that differ.

    The header marks a column whose rows were not measured on the same items.
    """
    settings, labels, rows = summarise(record)
    seeds = max((len(row["cells"]) for row in rows), default=1)
    marked = [
        label if comparable(label, rows) else f"{label} (not on the same rows)" for label in labels
    ]
    header = [*settings, *(["n"] if seeds > 1 else []), *marked]
    lines = []
    for row in rows:
        figures = [_show(row["metrics"].get(label), row["stderr"].get(label)) for label in labels]
        count = [str(len(row["cells"]))] if seeds > 1 else []
        lines.append([*row["settings"].values(), *count, *figures])
    return header, lines


def write_sweep_table(record: RunRecord) -> Path:
    """Write `sweep.csv` and return its path.

    It has mean, spread and count of every stage's main metric and of those beside it, and digests
    of what a figure was measured on, if stages report them.
    """
    settings, _, rows = summarise(record, every_stage=True)
    labels = list(dict.fromkeys(label for row in rows for label in row["metrics"]))
    file = record.directory / TABLE
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        identified = {label for label in labels for row in rows if any(row["on"].get(label, ()))}
        uncertain = {label for row in rows for label in row["stderr"]}
        columns = []
        for label in labels:
            columns += [label, f"{label} sd", f"{label} n"]
            columns += [f"{label} stderr"] if label in uncertain else []
            columns += [f"{label} on"] if label in identified else []
        writer.writerow([*settings, "cells", *columns])
        for row in rows:
            figures: list[Any] = []
            for label in labels:
                figures += row["metrics"].get(label, ("", "", 0))
                if label in uncertain:
                    figures.append(row["stderr"].get(label, ""))
                if label in identified:
                    figures.append(" ".join(row["on"].get(label, ())))
            settings_of = map(inert, row["settings"].values())
            writer.writerow([*settings_of, len(row["cells"]), *figures])
    return file


def _show(figure: tuple[float, float, int] | None, stderr: float | None = None) -> str:
    if figure is None:
        return ""
    mean, deviation, count = figure
    spread = deviation if count > 1 else stderr or None  # one of zero is not known, but not zero
    return number(mean) if spread is None else f"{number(mean)} ± {_rounded(spread)}"


def _rounded(spread: float) -> str:
    return f"{spread:.2g}" if spread < 100 else f"{spread:,.0f}"
