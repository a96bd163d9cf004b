"""What is to be reproduced, found by a word on the command line."""

from __future__ import annotations

from pathlib import Path

from storm_evaluation.reproduction.lock import LOCK, read_lock
from storm_evaluation.reproduction.original import Original
from storm_evaluation.reproduction.recorded_run import read_run
from storm_exp import StormError
from storm_exp.report import RunRecord
from storm_report.run_folders import Run, find_run

CARD = "README.md"


def find_original(word: str, outputs: Path) -> Original:
    """Return what a word names: a lock file, a model card or its folder, or a run.

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
    return read_run(recorded(find_run(outputs, word)))


def recorded(run: Run) -> RunRecord:
    """Return the record of a run; raises StormError where there is none that can be read."""
    if run.record is None:
        there = (run.folder / "run.json").is_file()
        why = " (a run of another version of storm-exp?)" if there else ""
        raise StormError(f"{run.folder}: {run.problem}{why}")
    return run.record
