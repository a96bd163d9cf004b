"""The report's page: one HTML file with the sections of all plugins."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from storm_exp.report import RunRecord, Section, duration
from storm_report.beside import write_beside
from storm_report.template import write_page_file


def write_page(record: RunRecord, sections: Sequence[Section]) -> Path:
    """Write `report.html` into the run's folder, its figures beside it, and return its path."""
    stages = record.stages()
    file = record.directory / "report.html"
    when = record.when[:16].replace("T", " ")
    write_page_file(
        file,
        "report.html",
        title=f"{record.recipe} · {when}",
        run=record,
        when=when,
        duration=duration(record.seconds),
        command=shlex.join(record.argv),
        counts=Counter(s.status for s in stages),
        warnings=record.warnings(),
        failures=[s for s in stages if s.status in ("failed", "interrupted")],
        sections=write_beside(record.directory, list(sections)),
        styles=[Markup(style) for style in dict.fromkeys(s.style for s in sections) if style],
    )
    return file
