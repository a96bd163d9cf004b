"""Where the models of a run are; of a sweep, which cell won, and how its weights are written."""

from __future__ import annotations

import csv
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_report.interim import without_interim
from storm_report.run_table import Measure, groups, measures, spread
from storm_report.spreadsheet import inert

CELLS = "cells.csv"
_LOWER = ("loss", "perplexity", "error")
"""Ends of the names of metrics of which less is better."""
_FOLDER_FLAGS = ("-cd", "--config-dir", "-cp", "--config-path")


def whereabouts(record: RunRecord) -> list[str]:
    """Return lines about where the models of a run are, and about the winner of a sweep."""
    folder = record.directory.parent.parent / "latest"
    if folder.resolve() != record.directory.resolve():
        folder = record.directory
    found = without_interim(record.cells[0])
    shown = {s.stage: s.shown_as for s in found if s.shown_as and s.is_whole}
    if not record.is_sweep:
        return [f"{shown[name]:<8} {_short(folder / name)}" for name in sorted(shown)]
    kinds = " and ".join(f"{name}s" for name in dict.fromkeys(shown.values())) or "stages"
    lines = [
        f"{kinds:<8} {_short(folder / 'cells')}/<cell>/<stage>",
        f"cells    {_short(folder / CELLS)}",
    ]
    winner = find_winner(record)
    if isinstance(winner, str):
        lines += [f"winner   none: {winner}"] if winner else []
    else:
        lines += [
            f"winner   {winner.name}: {winner.column} {winner.value:.4g}, the {winner.direction}",
            f"its model, with weights in files: {command_of(record, winner.cell)}",
        ]
    return lines


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


@dataclass
class Winner:
    """The cell of a sweep with the best figure of its last measured stage."""

    cell: CellRecord
    name: str
    column: str
    value: float
    """Mean over seeds."""
    direction: str
    """highest or lowest."""


def find_winner(record: RunRecord) -> Winner | str:
    """Return the winner of a sweep, or why there is none; '' where nothing was measured on data.

    Cells are compared by the main metric of the last stage that measured its figure on data, the
    same in all cells but for the model that it is of; of several seeds, by the mean.
    """
    if partial := sum(bool(unmade(cell)) for cell in record.cells):
        return f"{partial} of {len(record.cells)} cells are not complete"
    found = [(cells, [judged(cell) for cell in cells]) for _, cells in groups(record)]
    figures = [measure for _, each in found for measure in each]
    measured = [measure for measure in figures if measure is not None]
    if not measured:
        return ""
    if len(measured) < len(figures):
        return f"{len(figures) - len(measured)} of {len(figures)} cells have no figure"
    columns = list(dict.fromkeys(measure.column for measure in measured))
    if len({(m.stage.stage, m.metric, m.on) for m in measured}) > 1:
        return f"the cells are measured on different data or stages ({', '.join(columns)})"
    means = [(cells, spread([m.value for m in each if m])[0]) for cells, each in found]
    values = [mean for _, mean in means]
    measure = measured[0]
    column = columns[0] if len(columns) == 1 else f"{measure.stage.stage} {measure.metric}"
    if lost := sum(not math.isfinite(value) for value in values):
        return f"{column} is no number in {lost} of {len(values)} cells"
    if len(set(values)) < 2:
        return f"{column} is {values[0]:.4g} in every cell"
    lower = is_lower_better(measure.metric)
    cells, value = (min if lower else max)(means, key=lambda each: each[1])
    number = record.cells.index(cells[0])
    return Winner(
        cell=cells[0],
        name=Path(record.cell_folders()[number]).name,
        column=column,
        value=value,
        direction="lowest" if lower else "highest",
    )


def is_lower_better(metric: str) -> bool:
    """Return whether less of a metric is better, by its name."""
    return metric.endswith(_LOWER)


def unmade(cell: CellRecord) -> list[StageRecord]:
    """Return the stages of a cell that failed, were interrupted, or were not reached.

    The figures of such a cell may be of an earlier model than those of the others.
    """
    return [s for s in cell.stages if s.status in ("failed", "interrupted", "not reached")]


def judged(cell: CellRecord) -> Measure | None:
    """Return the last main metric of a cell that was measured on data."""
    found = [m for m in measures(cell) if m.metric == m.stage.main_metric and m.on]
    return found[-1] if found else None


def command_of(record: RunRecord, cell: CellRecord) -> str:
    """Return the command that runs a cell of a sweep by itself, which writes its weights."""
    flags: list[str] = []
    for flag, value in zip(record.argv, [*record.argv[1:], ""], strict=True):
        name, equals, _ = flag.partition("=")
        if name in _FOLDER_FLAGS:
            flags += [flag] if equals else [flag, value]
    swept = any(word.startswith("sweep=") for word in cell.overrides)
    mode = ["hydra.mode=RUN"] if swept else []
    return shlex.join(["storm-exp", *flags, *cell.overrides, *mode])


def write_cells(record: RunRecord) -> Path:
    """Write `cells.csv`: of each cell the settings, metrics, folders of models, and command."""
    folders = record.cell_folders()
    settings = record.cell_settings()
    figures = [
        {m.column: m.value for m in measures(cell, every_stage=True)} for cell in record.cells
    ]
    columns = list(dict.fromkeys(column for each in figures for column in each))
    places = [{s.label: _place(s) for s in cell.stages if s.shown_as} for cell in record.cells]
    labels = list(dict.fromkeys(label for each in places for label in each))
    file = record.directory / CELLS
    with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        names = [f"folder of {label}" for label in labels]
        writer.writerow(["cell", "folder", *settings[0], *columns, *names, "command"])
        for number, cell in enumerate(record.cells):
            writer.writerow(
                [
                    inert(Path(folders[number]).name),
                    folders[number],
                    *map(inert, settings[number].values()),
                    *(figures[number].get(column, "") for column in columns),
                    *(places[number].get(label, "") for label in labels),
                    command_of(record, cell),
                ]
            )
    return file


def _place(stage: StageRecord) -> str:
    return stage.directory if stage.is_whole else ""
