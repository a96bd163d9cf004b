"""The report of a run: one plugin makes a page of the sections of all plugins."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_exp._contract.errors import StormError
from storm_exp._contract.plugins import Plugins
from storm_exp._run.record import RunRecord
from storm_exp._run.section import Section

_TEXTS = ("title", "html", "stage", "style")


def write_report(record: RunRecord, plugins: Plugins) -> Path | None:
    """Write a report by a plugin; return its path, None if no plugin writes one."""
    sections = plugin_sections(record, plugins)
    file: Path | None = plugins.hook.storm_report_page(run=record, sections=sections)
    return file


def closing_table(record: RunRecord, plugins: Plugins) -> tuple[list[list[str]], Path | None]:
    """Return the rows of the closing table that a plugin makes, and a file with it, if any."""
    table: tuple[list[list[str]], Path | None] | None
    table = plugins.hook.storm_closing_table(run=record)
    return table or ([], None)


def closing_lines(record: RunRecord, plugins: Plugins) -> list[str]:
    """Return what plugins have a run end with."""
    return [line for lines in plugins.hook.storm_closing_lines(run=record) for line in lines]


def plugin_sections(record: RunRecord, plugins: Plugins) -> list[Section]:
    """Return the sections of all plugins; a section about the error replaces those that fail."""
    implementations: list[Any] = plugins.hook.storm_report_sections.get_hookimpls()
    sections = [section for each in implementations for section in _sections_of(each, record)]
    order = [s.stage for cell in record.cells for s in cell.stages]
    first = {name: position for position, name in reversed(list(enumerate(order)))}
    return sorted(sections, key=lambda s: (s.place, first.get(s.stage, len(order))))


def _sections_of(implementation: Any, record: RunRecord) -> list[Section]:
    """Return the sections of a plugin; sections about errors replace those that are invalid."""
    sections: list[Section] = []
    title = f"{implementation.plugin_name} could not make its part of the report"
    message = Markup("<p class='problem'>{}: {}</p>")
    try:
        for section in implementation.function(*(record for _ in implementation.argnames)) or []:
            if not _is_section(section):
                html = message.format("no Section", f"{section!r:.200}")
                section = Section(title, html)
            # A title is part of a link, and may contain a path that cannot be encoded.
            encodable = section.title.encode(errors="backslashreplace").decode()
            sections.append(dataclasses.replace(section, title=encodable))
    except (StormError, OSError) as error:  # the run is complete
        cause = error.__cause__ or error
        sections.append(Section(title, message.format(type(cause).__name__, cause)))
    return sections


def _is_section(section: Any) -> bool:
    """Return whether an object is a section with fields of the right types."""
    if not isinstance(section, Section) or not isinstance(section.place, int):
        return False
    return all(isinstance(getattr(section, name), str) for name in _TEXTS)
