"""The report's page: one HTML file with the sections of all plugins."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from storm_exp.report import RunRecord, Section, duration
from storm_report.template import render


def write_page(record: RunRecord, sections: Sequence[Section]) -> Path:
    """Write `report.html` into the run's folder and return its path."""
    stages = record.stages()
    html = render(
        "report.html",
        run=record,
        when=record.when[:16].replace("T", " "),
        duration=duration(record.seconds),
        command=shlex.join(record.argv),
        counts=Counter(s.status for s in stages),
        warnings=record.warnings(),
        failures=[s for s in stages if s.status in ("failed", "interrupted")],
        sections=sections,
        styles=[Markup(style) for style in dict.fromkeys(s.style for s in sections) if style],
    )
    file = record.directory / "report.html"
    file.write_text(html, encoding="utf-8", errors="backslashreplace")
    return file
