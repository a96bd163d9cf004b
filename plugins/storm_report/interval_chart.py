"""A chart of effects with their intervals, one below the other, around zero."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.chart import ticks
from storm_report.svg import LETTER, WIDTH, box, element, fitted, picture, stroke, text

_ROW, _TOP, _GUTTER = 28, 8, 200
_NOTES = (220, 360)
"""Pixels: the least and the most of a wide chart that are beside it, for notes."""
_ABOVE, _MARGIN = 18, 24
"""Pixels: a line of text above an interval, and beside it, where a narrow chart has it there."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its interval."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""
    class_: str = "s1"

    @property
    def told(self) -> str:
        """The estimate in words, with its interval where that has a width."""
        ends = f", {self.low:+.3f} to {self.high:+.3f}" if self.low < self.high else ""
        return f"{self.value:+.3f}{ends}"


def interval_chart(
    rows: Sequence[Interval], *, title: str, margin: float = 0.0, width: float = WIDTH
) -> Markup:
    """Return a point and a line for each interval; the band within ± `margin` is shaded."""
    if not rows:
        return Markup()
    ends = [end for row in rows for end in (row.low, row.high)]
    marks = ticks(min(0.0, -margin, *ends), max(0.0, margin, *ends))
    narrow = 0.6 * width < _GUTTER + _NOTES[0]
    notes = min(max(_NOTES[0], *(LETTER * (len(row.note) + 4) for row in rows)), _NOTES[1])
    left, right = (_MARGIN, width - _MARGIN) if narrow else (_GUTTER, width - notes)
    pitch = _ROW + _ABOVE * narrow
    bottom = _TOP + pitch * len(rows)

    def place(value: float) -> float:
        return left + (value - marks[0]) / (marks[-1] - marks[0]) * (right - left)

    drawn = [box(place(-margin), _TOP, place(margin) - place(-margin), bottom - _TOP, "track")]
    for mark in marks:
        drawn += [
            stroke(place(mark), _TOP, place(mark), bottom, "zero" if mark == 0 else "grid"),
            text(place(mark), bottom + 16, f"{mark:+g}" if mark else "0", "tick", "middle"),
        ]
    for number, row in enumerate(rows):
        y = _TOP + pitch * (number + 1) - _ROW / 2
        if narrow:
            room = width / LETTER - len(row.label) - 2
            drawn.append(text(0, y - 14, fitted(row.label, width / LETTER), "name halo"))
            drawn.append(text(width, y - 14, fitted(row.note, room), "tick halo", "end"))
        else:
            drawn.append(text(left - 12, y + 4, fitted(row.label, left / LETTER), "name", "end"))
            drawn.append(text(right + 12, y + 4, fitted(row.note, notes / LETTER), "tick"))
        tip = element("title", f"{row.label}: {row.told}")
        drawn += [
            stroke(place(row.low), y, place(row.high), y, "whisker"),
            element(
                "circle",
                tip,
                cx=round(place(row.value), 1),
                cy=round(y, 1),
                r=4.5,
                class_=f"bar {row.class_}",
            ),
        ]
    drawn.append(text((left + right) / 2, bottom + 36, title, "axis", "middle"))
    told = "; ".join(f"{row.label} {row.told}" for row in rows)
    return picture(width, bottom + 46, f"{title}: {told}", *drawn)
