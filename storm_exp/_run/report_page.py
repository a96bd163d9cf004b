"""The frame of the report: one HTML file, whose sections plugins supply."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_exp._contract.plugins import Plugins
from storm_exp._run import hooks
from storm_exp._run.record import RunRecord
from storm_exp._run.section import Section, duration

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(record: RunRecord, plugins: Plugins) -> Path:
    """Write `report.html` into the run's folder and return its path."""
    from jinja2 import Environment, FileSystemLoader  # nothing but a report needs it

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sections = plugin_sections(record, plugins)
    stages = record.stages()
    html = environment.get_template("report.html").render(
        run=record,
        when=record.when[:16].replace("T", " "),
        duration=duration(record.seconds),
        command=shlex.join(record.argv),
        counts=Counter(s.status for s in stages),
        failures=[s for s in stages if s.status in ("failed", "interrupted")],
        sections=sections,
        styles=[Markup(style) for style in dict.fromkeys(s.style for s in sections) if style],
    )
    file = record.directory / "report.html"
    file.write_text(html, encoding="utf-8", errors="backslashreplace")
    return file


def plugin_sections(record: RunRecord, plugins: Plugins) -> list[Section]:
    """Return the sections of all plugins; a plugin that fails is named in place of its own."""
    implementations: list[Any] = plugins.hooks(hooks).storm_report_sections.get_hookimpls()
    found = [section for each in implementations for section in _sections_of(each, record)]
    order = [s.stage for cell in record.cells for s in cell.stages]
    first = {name: position for position, name in reversed(list(enumerate(order)))}
    return sorted(found, key=lambda s: (s.place, first.get(s.stage, len(order))))


def _sections_of(implementation: Any, record: RunRecord) -> list[Section]:
    """Return the sections of one plugin; what is none, or ends it, is named in its place."""
    found: list[Section] = []
    title = f"{implementation.plugin_name} could not show its part of the report"
    message = Markup("<p class='problem'>{}: {}</p>")
    try:
        for section in implementation.function(*(record for _ in implementation.argnames)) or []:
            if not _is_section(section):
                html = message.format("no Section", f"{section!r:.200}")
                section = Section(title, html)
            # A path may hold what no file can; the title is part of a link.
            encodable = section.title.encode(errors="backslashreplace").decode()
            found.append(dataclasses.replace(section, title=encodable))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's code may raise anything, and the run is done
        found.append(Section(title, message.format(type(error).__name__, error)))
    return found


def _is_section(found: Any) -> bool:
    """Return whether a plugin gave a section, with fields that can be shown."""
    return (
        isinstance(found, Section)
        and all(isinstance(v, str) for v in (found.title, found.html, found.stage, found.style))
        and isinstance(found.place, int)
    )
