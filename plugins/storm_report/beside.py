"""The figures and tables of a page as files beside it: an SVG or a CSV each, with its numbers."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from markupsafe import Markup, escape

from storm_exp.report import Section
from storm_report.controls import escape_controls
from storm_report.counted import counted
from storm_report.spreadsheet import spread_columns
from storm_report.svg import standalone

FOLDER = "report.files"
"""No stage can have this name, and none of the links beside the report does."""
_MOST = 200
"""The most files beside a page."""
_LONGEST = 60
_WITH_FILES = re.compile("<svg|<thead")
_FIGURE = re.compile("(<svg.*?</svg>)", re.DOTALL)
_CHART = re.compile(r'<svg[^>]*\bclass="(?:[^"]* )?chart[ "]')


def write_beside(directory: Path, sections: list[Section]) -> list[tuple[str, Markup]]:
    """Write the figures and tables of sections into files; raises OSError.

    Returns title and contents of each section, with links to its files. Those of an earlier page
    are removed.
    """
    folder = directory / FOLDER
    for earlier in [*folder.glob("*.svg"), *folder.glob("*.csv")]:
        earlier.unlink()
    taken: Counter[str] = Counter()
    shown = []
    for section in sections:
        names: list[str] = []
        html = escape(section.html)
        extracts = _Extracts(str(html))
        room = _MOST - sum(taken.values())
        for kind, text in extracts.found[:room]:
            slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")[:_LONGEST]
            taken[slug] += 1
            names.append(f"{slug or 'section'}-{taken[slug]}.{kind}")
            folder.mkdir(exist_ok=True)
            (folder / names[-1]).write_text(
                text, encoding="utf-8", errors="backslashreplace", newline=""
            )
        left = len(extracts.found) - len(names)
        shown.append((section.title, html + _links(names, left)))
    return shown


def _links(names: list[str], left: int) -> Markup:
    if not names:
        return Markup()
    link = Markup('<a href="{}/{}">{}</a>')
    listed = Markup(" · ").join(link.format(FOLDER, name, name) for name in names)
    more = f" and {left} more on this page alone" if left else ""
    fold = Markup(
        '<details class="files"><summary>Figures and tables as {}</summary>'
        '<p class="note">{}{}</p></details>\n'
    )
    return fold.format(counted(len(names), "file"), listed, more)


class _Extracts(HTMLParser):
    """The figures and tables of HTML, as (svg or csv, text of the file)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._divisions: list[bool] = []
        """Of each open `div`, whether it is for narrow windows, where a figure comes again."""
        self._rows: list[list[str]] | None = None
        """Those of a table with column headers."""
        self._cell: list[str] | None = None
        if not _WITH_FILES.search(html):
            return
        # What stands in a figure need not be parsed, and is most of a section.
        for piece in _FIGURE.split(html):
            if not piece.startswith("<svg"):
                self.feed(piece)
            elif _CHART.match(piece) and not any(self._divisions):
                self.found.append(("svg", standalone(Markup(escape_controls(piece)))))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div":
            self._divisions.append("at-narrow" in (dict(attrs).get("class") or "").split())
        elif tag == "thead":
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("th", "td") and self._rows:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._divisions:
            self._divisions.pop()
        elif tag in ("th", "td") and self._cell is not None and self._rows:
            text = "".join(self._cell).replace("\u200b", "")
            self._rows[-1].append(" ".join(text.split()))
            self._cell = None
        elif tag == "table" and self._rows:
            if len({len(row) for row in self._rows}) == 1:
                file = io.StringIO(newline="")
                csv.writer(file).writerows(spread_columns(self._rows[0], self._rows[1:]))
                self.found.append(("csv", file.getvalue()))
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)
