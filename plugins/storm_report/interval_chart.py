"""A chart of effects with their intervals, one below the other, around zero."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.chart import ticks
from storm_report.svg import WIDTH, box, element, picture, stroke, text

_ROW, _TOP, _GUTTER, _NOTES = 28, 8, 200, 220


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its interval."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""
    class_: str = "s1"


def interval_chart(rows: Sequence[Interval], *, title: str, margin: float = 0.0) -> Markup:
    """Return a point and a line for each interval; the band within ± `margin` is shaded."""
    if not rows:
        return Markup()
    ends = [end for row in rows for end in (row.low, row.high)]
    marks = ticks(min(0.0, -margin, *ends), max(0.0, margin, *ends))
    left, right = _GUTTER, WIDTH - _NOTES
    bottom = _TOP + _ROW * len(rows)

    def place(value: float) -> float:
        return left + (value - marks[0]) / (marks[-1] - marks[0]) * (right - left)

    drawn = [box(place(-margin), _TOP, place(margin) - place(-margin), bottom - _TOP, "track")]
    for mark in marks:
        drawn += [
            stroke(place(mark), _TOP, place(mark), bottom, "zero" if mark == 0 else "grid"),
            text(place(mark), bottom + 16, f"{mark:+g}" if mark else "0", "tick", "middle"),
        ]
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.5)
        tip = element("title", f"{row.label}: {row.value:+.3f}, {row.low:+.3f} to {row.high:+.3f}")
        drawn += [
            text(left - 12, y + 4, row.label, "name", "end"),
            stroke(place(row.low), y, place(row.high), y, "whisker"),
            element(
                "circle",
                tip,
                cx=round(place(row.value), 1),
                cy=round(y, 1),
                r=4.5,
                class_=f"bar {row.class_}",
            ),
            text(right + 12, y + 4, row.note, "tick"),
        ]
    drawn.append(text((left + right) / 2, bottom + 36, title, "axis", "middle"))
    return picture(WIDTH, bottom + 46, title, *drawn)
