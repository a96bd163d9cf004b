"""The frame of the report: one HTML file, whose sections plugins supply."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp.record import RunRecord

if TYPE_CHECKING:
    from storm_exp.plugins import Plugins

REPORT = "report.html"


@dataclasses.dataclass
class Section:
    """A part of the report."""

    title: str
    html: str


def write_report(record: RunRecord, plugins: Plugins) -> Path:
    """Write `report.html` into the run's folder and return its path."""
    file = record.directory / REPORT
    file.write_text("<!doctype html>", encoding="utf-8")
    return file
