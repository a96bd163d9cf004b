"""Charts as SVG: lines, bars, stacked rows, heat maps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from storm_report.svg import WIDTH, box, element, picture, short, stroke, text

COLOURS = 10
_CHARACTER = 6.9
"""Assumed pixels per letter, as text cannot be measured here."""


@dataclasses.dataclass(kw_only=True)
class Line:
    """A curve: points, with the half length of each point's error bar in `spread`."""

    name: str
    points: list[tuple[float, float]]
    colour: int
    spread: list[float] = dataclasses.field(default_factory=list)
    marks: bool = False
    """Whether points are shown as dots."""
    faint: bool = False
    dashed: bool = False
    legend: bool = True


@dataclasses.dataclass(kw_only=True)
class Bars:
    """One series of a grouped bar chart: a value per group, None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: int
    errors: Sequence[float | None] = ()
    """Half the length of each error bar."""


@dataclasses.dataclass(kw_only=True)
class Row:
    """A horizontal bar made of parts (name, length, class), followed by a note."""

    label: str
    parts: list[tuple[str, float, str]]
    note: str = ""


def _label(value: float) -> str:
    """Return a value of the x-axis in full, or in millions or billions with three digits."""
    for name, size in (("B", 1e9), ("M", 1e6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.6g}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that cover [low, high] in about `count` steps."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * max(size, 1e-3):
        high = low + (size if size > 1e-6 else 1.0)
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / count))
    step = power * next(s for s in (1, 2, 5, 10) if span / (s * power) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]


class _Axis:
    """Maps values in [low, high] to pixels in [start, end]."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.start = low, start
        self._scale = (end - start) / ((high - low) or 1.0)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self._scale


def _grid(y: _Axis, values: list[float], left: float, right: float, title: str) -> list[Markup]:
    step = values[1] - values[0]
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    marks = [text(left - 8, y(v) + 4, f"{v:,.{digits}f}", "tick", "end") for v in values]
    lines = [stroke(left, y(v), right, y(v), "zero" if v == 0 else "grid") for v in values]
    return [*lines, *marks, text(0, 12, title, "axis")]


def _legend(entries: Iterable[tuple[str, str]], left: float, width: float) -> tuple[Markup, float]:
    """Return the legend and its height; entries are (name, class of the swatch)."""
    x, row, drawn = left, 0, []
    for name, class_ in entries:
        length = 24 + _CHARACTER * len(name) + 14
        if x + length > width and x > left:
            x, row = left, row + 1
        y = 26 + row * 18
        drawn += [box(x, y, 11, 11, class_), text(x + 17, y + 9.5, name, "name")]
        x += length
    return Markup().join(drawn), (row + 1) * 18 + 16 if drawn else 8


def line_chart(
    lines: Sequence[Line], *, x_title: str, y_title: str, width: float = WIDTH, height: float = 300
) -> Markup:
    """Return curves over a common numeric axis, with error bars."""
    points = [p for line in lines for p in line.points]
    if not points:
        return Markup()
    spreads = [s for line in lines for s in line.spread or [0.0] * len(line.points)]
    reach = [y + d for (_, y), s in zip(points, spreads, strict=True) for d in (-s, s)]
    levels = ticks(min(reach), max(reach))
    entries = {line.name: f"bar s{line.colour % COLOURS}" for line in lines if line.legend}
    legend, top = _legend(entries.items() if len(entries) > 1 else [], 52, width)
    top, bottom = top + 14, height - 38
    xs = [x for x, _ in points]
    x = _Axis(min(xs), max(xs), 64, width - 28)
    y = _Axis(levels[0], levels[-1], bottom, top)
    drawn = _grid(y, levels, 52, width, y_title)
    distinct = sorted(set(xs))
    at = distinct if len(distinct) <= 9 else ticks(distinct[0], distinct[-1], 8)
    at = [v for v in at if distinct[0] <= v <= distinct[-1]]
    drawn += [text(x(v), bottom + 18, _label(v), "tick", "middle") for v in at]
    drawn.append(text(width, height - 4, x_title, "axis", "end"))
    for line in lines:
        class_ = f"s{line.colour % COLOURS}{' faint' * line.faint}{' dashed' * line.dashed}"
        places = [(x(a), y(b)) for a, b in line.points]
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        drawn.append(element("path", element("title", line.name), d=path, class_=f"line {class_}"))
        for (a, b), (_, value), s in zip(
            places, line.points, line.spread or [0.0] * len(places), strict=True
        ):
            if s:
                drawn.append(_whisker(a, y(value - s), y(value + s), f"line {class_}"))
            if line.marks:
                tip = element("title", f"{line.name}: {short(value)}")
                drawn.append(
                    element(
                        "circle", tip, cx=round(a, 1), cy=round(b, 1), r=3, class_=f"bar {class_}"
                    )
                )
    return picture(width, height, f"{y_title} over {x_title}", legend, *drawn)


def _whisker(x: float, low: float, high: float, class_: str) -> Markup:
    caps = f"M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6M{x:.1f} {low:.1f}V{high:.1f}"
    return element("path", d=caps, class_=class_)


def bar_chart(
    groups: Sequence[str],
    series: Sequence[Bars],
    *,
    y_title: str,
    width: float = WIDTH,
    height: float = 320,
) -> Markup:
    """Return bars in groups, with error bars; the axis includes zero."""
    errors = [list(s.errors) or [None] * len(s.values) for s in series]
    tops = [
        v + d
        for s, e in zip(series, errors, strict=True)
        for v, half in zip(s.values, e, strict=True)
        if v is not None
        for d in (-(half or 0.0), half or 0.0)
    ]
    if not tops:
        return Markup()
    levels = ticks(min(0.0, *tops), max(0.0, *tops))
    entries = [(s.name, f"bar s{s.colour % COLOURS}") for s in series]
    legend, top = _legend(entries if len(entries) > 1 else [], 52, width)
    bottom = height - 30
    y = _Axis(levels[0], levels[-1], bottom, top + 14)
    drawn = _grid(y, levels, 52, width, y_title)
    pitch = (width - 52) / len(groups)
    slot = min(pitch * 0.82 / len(series), 46)
    for g, group in enumerate(groups):
        middle = 52 + pitch * (g + 0.5)
        drawn.append(text(middle, bottom + 19, _fit(group, pitch), "name", "middle"))
        for n, (s, e) in enumerate(zip(series, errors, strict=True)):
            value, half = s.values[g], e[g]
            if value is None:
                continue
            left = middle + (n - len(series) / 2) * slot
            tip = f"{s.name}, {group}: {short(value)}" + (f" ± {short(half)}" if half else "")
            edges = sorted((y(0), y(value)))
            drawn.append(box(left + 1, edges[0], slot - 2, edges[1] - edges[0], entries[n][1], tip))
            if half:
                x = left + slot / 2
                drawn.append(_whisker(x, y(value - half), y(value + half), "whisker"))
    return picture(width, height, y_title, legend, *drawn)


def _fit(label: str, width: float) -> str:
    room = max(4, int(width / _CHARACTER))
    return label if len(label) <= room else label[: room - 1] + "…"


def row_chart(
    rows: Sequence[Row],
    *,
    maximum: float | None = None,
    reference: float | None = None,
    width: float = WIDTH,
    legend: Sequence[tuple[str, str]] = (),
) -> Markup:
    """Return horizontal bars below each other, with a dashed line at `reference`."""
    if not rows:
        return Markup()
    gutter = min(260.0, 24 + _CHARACTER * max(len(row.label) for row in rows))
    margin = min(260.0, 16 + _CHARACTER * max(len(row.note) for row in rows))
    longest = maximum or max(sum(length for _, length, _ in row.parts) for row in rows) or 1.0
    key, top = _legend(((n, f"bar {c}") for n, c in legend), 0, width)
    top = top - 14 if legend else 4.0
    x = _Axis(0.0, longest, gutter, width - margin)
    drawn = []
    for number, row in enumerate(rows):
        y, left = top + number * 26, 0.0
        drawn.append(text(gutter - 10, y + 15, _fit(row.label, gutter), "name", "end"))
        drawn.append(box(gutter, y + 3, x(longest) - gutter, 17, "track"))
        for name, length, class_ in row.parts:
            tip = (
                f"{row.label}, {name}: {short(length)}" if name else f"{row.label}: {short(length)}"
            )
            drawn.append(box(x(left), y + 3, x(left + length) - x(left), 17, f"bar {class_}", tip))
            left += length
        drawn.append(text(x(longest) + 10, y + 15, row.note, "tick"))
    bottom = top + len(rows) * 26
    if reference is not None:
        drawn.append(stroke(x(reference), top, x(reference), bottom, "reference"))
    moved = element("g", key, transform="translate(0 -24)") if legend else key
    return picture(width, bottom + 4, "bars", moved, *drawn)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: dict[tuple[str, str], float],
    marked: set[tuple[str, str]],
    *,
    x_title: str,
    by_row: bool = False,
    width: float = WIDTH,
) -> Markup:
    """Return cells shaded by their value, between the lowest and the highest of all.

    With `by_row`, shades are relative to the row. `marked` cells have an outline. Wide cells show
    their value.
    """
    if not values:
        return Markup()
    gutter = 20 + _CHARACTER * max((len(r) for r in rows), default=0)
    side = min(92.0, (width - gutter) / max(1, len(columns)))
    drawn = []
    for r, row in enumerate(rows):
        compared = [v for (of, _), v in values.items() if of == row or not by_row]
        low, high = min(compared, default=0.0), max(compared, default=1.0)
        drawn.append(text(gutter - 10, 20 + r * 32, row, "name", "end"))
        for c, column in enumerate(columns):
            if (row, column) not in values:
                continue
            value, class_ = (
                values[row, column],
                "cell marked" if (row, column) in marked else "cell",
            )
            x, y = gutter + c * side, 2 + r * 32
            level = (value - low) / (high - low) if high > low else 0.5
            cell = box(x + 1.5, y + 1.5, side - 3, 26, class_, f"{row}, {column}: {short(value)}")
            drawn.append(element("g", cell, style=f"--level:{12 + 70 * level:.0f}%"))
            if side >= 40:
                drawn.append(text(x + side / 2, y + 18.5, short(value), "value", "middle"))
    bottom = 2 + 32 * len(rows)
    every = max(1, math.ceil(28 / side))
    for c, column in enumerate(columns):
        if c % every == 0:
            drawn.append(text(gutter + (c + 0.5) * side, bottom + 16, column, "tick", "middle"))
    drawn.append(text(gutter - 10, bottom + 16, x_title, "axis", "end"))
    return picture(gutter + side * len(columns), bottom + 24, x_title, *drawn)
