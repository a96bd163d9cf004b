"""The report of a run: sections of all plugins, of which one makes a page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from markupsafe import Markup

from storm_exp._contract.errors import strangers_code
from storm_exp._contract.plugins import Plugins
from storm_exp._run.record import RunRecord
from storm_exp._run.section import Section


def write_report(record: RunRecord, plugins: Plugins) -> Path | None:
    """Have a plugin write the sections of all as a report; return its path, None without one."""
    sections = plugin_sections(record, plugins)
    with strangers_code("the plugin that writes the report", OSError):
        file: Path | None = plugins.hook.storm_report_page(run=record, sections=sections)
    return file


def closing_table(record: RunRecord, plugins: Plugins) -> tuple[list[list[str]], Path | None]:
    """Have a plugin make the table that a run ends with; return its rows, and where it lies."""
    with strangers_code("the plugin that makes the table", OSError):
        table: tuple[list[list[str]], Path | None] | None
        table = plugins.hook.storm_closing_table(run=record)
    return table or ([], None)


def plugin_sections(record: RunRecord, plugins: Plugins) -> list[Section]:
    """Return the sections of all plugins; a plugin that fails is named in place of its own."""
    implementations: list[Any] = plugins.hook.storm_report_sections.get_hookimpls()
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
