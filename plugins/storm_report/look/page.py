"""A page of listings: one HTML file that asks for nothing outside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from storm_report.controls import escape_controls
from storm_report.template import write_page_file


def write_look_page(
    file: Path, title: str, command: str, sections: Sequence[tuple[str, Markup]]
) -> None:
    """Write named sections to a file; raises OSError."""
    write_page_file(
        file,
        "look.html",
        title=escape_controls(title),
        command=escape_controls(command),
        sections=[(escape_controls(name), content) for name, content in sections],
    )
