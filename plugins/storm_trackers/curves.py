"""Figures of training by step: those that a run writes as it goes, and those that are kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from storm_exp.report import StageRecord

_RENAMED = {"tokens": "step_tokens"}
"""Figures of a step that a metric of the whole stage has the name of."""

Row = dict[str, float]
"""Figures of an optimiser step, by name; the step itself is under `step`."""


def running(run: Path) -> dict[str, list[Row]]:
    """Return the steps that stages have written so far, by label.

    They are in `training/STAGE/metrics.csv` of the run's folder. A line that is still being written
    is left out.
    """
    found = {}
    for file in sorted((run / "training").glob("*/metrics.csv")):
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        found[file.parent.name] = [_numbers(row) for row in csv.DictReader(io.StringIO(whole))]
    return found


def kept(stage: StageRecord) -> list[Row]:
    """Return the steps in the artifact of a stage that trained; empty for another stage."""
    contents = stage.read("training.json") or {}
    rows = {int(entry["step"]): _renamed(entry) for entry in contents.get("steps", [])}
    for entry in contents.get("validation", []):
        row = rows.setdefault(int(entry["step"]), {"step": entry["step"]})
        row["validation_loss"] = entry["loss"]
    return [rows[step] for step in sorted(rows)]


def _numbers(row: dict[str, str]) -> Row:
    """Return the figures of a line; a step without a validation has an empty one."""
    return _renamed({name: float(value) for name, value in row.items() if name and value})


def _renamed(row: Row) -> Row:
    return {_RENAMED.get(name, name): value for name, value in row.items()}
