"""Elements of SVG text that stands inside HTML. All text is escaped.

Colours are the classes `s0` to `s9`, which the report's style sheet defines for light and dark.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from storm_report.template import style_sheet

WIDTH = 960
"""The width of the page's figures, in pixels."""
NARROW = 358.0
"""The same in the window of a telephone, where the wide ones would be too small to read."""
LETTER = 6.9
"""Assumed pixels per letter, as text cannot be measured here."""


def element(name: str, *content: Any, **attributes: Any) -> Markup:
    """Return an element; `class_` becomes class, `text_anchor` text-anchor, floats get shorter."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="'
        f'{format(v, ".6g") if isinstance(v, float) else escape(v)}"'
        for key, v in attributes.items()
    )
    inside = "".join(map(escape, content))
    return Markup(f"<{name}{written}>{inside}</{name}>")


def picture(width: float, height: float, title: str, *content: Markup) -> Markup:
    """Return an SVG that shrinks with the page but does not grow."""
    return element(
        "svg",
        *content,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        style=f"max-width:{width:.0f}px;--natural:{width:.0f}px",
        role="img",
        aria_label=title,
    )


def responsive(draw: Callable[..., Markup], width: float = WIDTH) -> Markup:
    """Return what `draw(width=…)` makes for a wide window and for a narrow one; one is shown."""
    wide = draw(width=width)
    return both(wide, draw(width=NARROW)) if wide else Markup()


def both(wide: Markup, narrow: Markup) -> Markup:
    """Return a picture for wide windows and its like for narrow ones."""
    html = '<div class="at-wide">{}</div><div class="at-narrow">{}</div>'
    return Markup(html).format(wide, narrow)


def text(x: float, y: float, content: Any, class_: str = "", anchor: str = "start") -> Markup:
    """Return a line of text that starts, is centred, or ends at (x, y), by `anchor`."""
    return element("text", content, x=round(x, 1), y=round(y, 1), class_=class_, text_anchor=anchor)


def stroke(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str, tip: str = "") -> Markup:
    """Return a rectangle, with an optional tooltip."""
    return element(
        "rect",
        *([element("title", tip)] if tip else []),
        x=round(x, 1),
        y=round(y, 1),
        width=round(max(width, 0), 1),
        height=round(max(height, 0), 1),
        class_=class_,
    )


def short(value: float) -> str:
    """Return a number with three or four significant digits."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) < 1000 else f"{value:.0f}"


def fitted(label: str, room: float) -> str:
    """Return a label, cut where it has more letters than there is room for.

    Chinese letters and emoji count as two (of full width, UAX 11), and an m as nearly two.
    """
    ends = list(itertools.accumulate(map(_letters, label)))
    if not label or ends[-1] <= room:
        return label
    return label[: max(1, sum(end <= int(room) - 1 for end in ends))] + "…"


def _letters(letter: str) -> float:
    full = unicodedata.east_asian_width(letter) in "WF"
    return 2.0 if full else 1.75 if letter in "mwMW@%&" else 1.0


def standalone(chart: Markup) -> str:
    """Return a chart with its style sheet, for an SVG file."""
    rules = (
        style_sheet("theme"),
        style_sheet("chart"),
        Markup("svg { background: var(--paper); }"),
    )
    style = Markup("<style>{}</style>").format(Markup().join(rules))
    opening, rest = str(chart).split(">", 1)
    return f"{opening}>{style}{rest}\n"
