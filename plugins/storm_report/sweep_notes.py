"""What a sweep that chose its cells itself adds to its run: what it tried, dropped, and why."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from storm_exp import StoreError
from storm_exp.report import Place, RunRecord, Section
from storm_report.markup import figure, table

NOTES = "sweep_notes.json"


@dataclasses.dataclass(frozen=True)
class SweepNotes:
    """A table for the report of a run, and lines for its end."""

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    lines: list[str]

    def write(self, folder: Path) -> None:
        """Write the notes to the folder of a run."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        (folder / NOTES).write_text(text + "\n", encoding="utf-8")


def read_notes(folder: Path) -> SweepNotes | None:
    """Return the notes in the folder of a run, None if there are none; raises StoreError."""
    file = folder / NOTES
    if not file.is_file():
        return None
    try:
        return SweepNotes(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{file}: it cannot be read ({error})") from error


def notes_sections(record: RunRecord) -> list[Section]:
    """Return the section on how the cells of a sweep were chosen, if there is anything to say."""
    notes = read_notes(record.directory)
    if notes is None:
        return []
    html = figure(table(notes.header, notes.rows), notes.caption)
    return [Section(notes.title, html, place=Place.TOP)]


def notes_lines(record: RunRecord) -> list[str]:
    """Return the lines that such a sweep ends with."""
    notes = read_notes(record.directory)
    return [] if notes is None else notes.lines
