"""A chart of scores against what they cost, with what is not dominated told by shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.chart import ticks
from storm_report.svg import WIDTH, element, picture, short, stroke, text

_LEFT, _TOP, _HEIGHT = 56, 40, 320
_FOR_A_TICK = 90
"""Pixels between the numbers of the x-axis."""


@dataclasses.dataclass(frozen=True)
class Dot:
    """A cell: its number in the table, its name, and where it is."""

    number: int
    name: str
    x: float
    y: float
    half: float
    """Half its interval in y; 0 if it has none."""
    first: bool
    """Whether it is not dominated."""


def scatter_chart(
    dots: Sequence[Dot], *, x_title: str, y_title: str, width: float = WIDTH
) -> Markup:
    """Return diamonds for what is not dominated, joined by a line, and circles for the rest."""
    xs = ticks(min(d.x for d in dots), max(d.x for d in dots), max(2, int(width / _FOR_A_TICK) - 1))
    ys = ticks(min(d.y - d.half for d in dots), max(d.y + d.half for d in dots))
    right, bottom = width - 28, _HEIGHT - 40

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / (xs[-1] - xs[0]) * (right - _LEFT - 16)
        return _LEFT + 16 + across, bottom - (y - ys[0]) / (ys[-1] - ys[0]) * (bottom - _TOP)

    drawn = [text(0, 12, y_title, "axis")]
    for mark in ys:
        y = at(xs[0], mark)[1]
        drawn += [
            stroke(_LEFT, y, right, y, "grid"),
            text(_LEFT - 8, y + 4, f"{mark:g}", "tick", "end"),
        ]
    for mark in xs:
        x = at(mark, ys[0])[0]
        drawn += [
            stroke(x, bottom, x, bottom + 4, "zero"),
            text(x, bottom + 18, _count(mark), "tick", "middle"),
        ]
    drawn.append(text(width, _HEIGHT - 4, x_title, "axis", "end"))
    best = sorted((d for d in dots if d.first), key=lambda d: (d.x, d.y))
    joined = "L".join("{:.1f} {:.1f}".format(*at(d.x, d.y)) for d in best)
    drawn.append(element("path", d=f"M{joined}", class_="reference", fill="none"))
    for dot in sorted(dots, key=lambda d: d.first):
        x, y = at(dot.x, dot.y)
        if dot.half:
            drawn.append(
                stroke(x, at(0, dot.y - dot.half)[1], x, at(0, dot.y + dot.half)[1], "whisker")
            )
        tip = element("title", f"{dot.name}: {short(dot.y)} at {_count(dot.x)}")
        shape = f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"
        if dot.first:
            drawn.append(element("path", tip, d=shape, class_="bar s1"))
        else:
            drawn.append(
                element("circle", tip, cx=round(x, 1), cy=round(y, 1), r=4.5, class_="hollow")
            )
        drawn.append(text(x + 9, y - 7, dot.number, "name halo"))
    told = "; ".join(
        f"{d.number} {d.name}, {short(d.y)} at {_count(d.x)}{'' if d.first else ', dominated'}"
        for d in dots
    )
    return picture(width, _HEIGHT, f"{y_title} over {x_title}: {told}", *drawn)


def _count(value: float) -> str:
    for name, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= size:
            return f"{value / (1e3 if name == 'k' else size):.4g} {name}"
    return f"{value:g}"
