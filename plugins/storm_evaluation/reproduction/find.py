"""What is to be reproduced, found by a word on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from storm_evaluation.reproduction.lock import LOCK, read_lock
from storm_evaluation.reproduction.original import Original
from storm_evaluation.reproduction.recorded_run import read_run
from storm_exp import StormError
from storm_exp.report import CellRecord, RunRecord
from storm_report.run_folders import Run, find_run

CARD = "README.md"


def find_original(word: str, outputs: Path) -> Original:
    """Return what a word names: a lock file, a model card or its folder, a run, or a cell of one.

    A stage of the latest run that is such a folder is named by its label. Raises StormError.
    """
    path = Path(word).expanduser()
    for place in (path, outputs / "latest" / word):
        if place.is_dir() and (place / LOCK).is_file():
            return read_lock(place / LOCK)
    if path.is_file():
        if path.name != CARD:
            return read_lock(path)
        if not (path.parent / LOCK).is_file():
            raise StormError(f"{path}: there is no {LOCK} beside this card, which says how")
        return read_lock(path.parent / LOCK)
    if (found := cell_of(path)) is not None:
        record, cell = found
        name = f"{record.directory.name},{path.name}"
        return read_run(dataclasses.replace(record, cells=[cell]), name)
    return read_run(recorded(find_run(outputs, word)))


def cell_of(path: Path) -> tuple[RunRecord, CellRecord] | None:
    """Return the run and the cell whose folder, below `cells`, this is; raises StormError."""
    run = path.absolute().parent.parent
    if path.absolute().parent.name != "cells" or not (run / "run.json").is_file():
        return None
    record = RunRecord.read(run.resolve())
    for folder, cell in zip(record.cell_folders(), record.cells, strict=True):
        if folder == f"cells/{path.name}":
            return record, cell
    return None


def recorded(run: Run) -> RunRecord:
    """Return the record of a run; raises StormError where there is none that can be read."""
    if run.record is None:
        there = (run.folder / "run.json").is_file()
        why = " (a run of another version of storm-exp?)" if there else ""
        raise StormError(f"{run.folder}: {run.problem}{why}")
    return run.record
