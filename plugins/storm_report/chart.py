"""Charts as SVG: lines, bars, stacked rows. They are drawn for a width (`svg.responsive`)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.legend import COLOURS, legend_of, mark
from storm_report.svg import LETTER, WIDTH, box, element, fitted, picture, short, stroke, text

_FOR_A_TICK = 90
"""Pixels between the numbers of an x-axis."""
_THOUSANDS = 100_000
"""From here on a y-axis counts in thousands."""
_ONE_LINE = 34
"""Pixels of a legend that needs one line; with more the chart grows."""


@dataclasses.dataclass(kw_only=True)
class Line:
    """A curve: points, with the length of each point's error bar in `spread`.

    That is half of it, or, where they differ, what is below and what is above the point.
    """

    name: str
    points: list[tuple[float, float]]
    colour: int
    spread: Sequence[float | tuple[float, float]] = ()
    marks: bool = False
    """Whether points are shown as dots."""
    band: bool = False
    """Whether the error bars of all points make a band."""
    faint: bool = False
    dashed: bool = False
    legend: bool = True

    @property
    def around(self) -> list[tuple[float, float]]:
        """The lengths of the error bars below and above the points."""
        sides = [s if isinstance(s, tuple) else (s, s) for s in self.spread]
        return sides or [(0.0, 0.0)] * len(self.points)


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
    thousands = max(map(abs, values)) >= _THOUSANDS
    shown = [f"{v / 1e3:,.6g} k" if thousands and v else f"{v:,.{digits}f}" for v in values]
    marks = [text(left - 8, y(v) + 4, s, "tick", "end") for v, s in zip(values, shown, strict=True)]
    lines = [stroke(left, y(v), right, y(v), "zero" if v == 0 else "grid") for v in values]
    return [*lines, *marks, text(0, 12, title, "axis")]


def line_chart(
    lines: Sequence[Line], *, x_title: str, y_title: str, width: float = WIDTH, height: float = 300
) -> Markup:
    """Return curves over a common numeric axis, with error bars."""
    points = [p for line in lines for p in line.points]
    if not points:
        return Markup()
    around = [sides for line in lines for sides in line.around]
    reach = [end for (_, y), (a, b) in zip(points, around, strict=True) for end in (y - a, y + b)]
    levels = ticks(min(reach), max(reach))
    colours = {line.name: line.colour for line in lines if line.legend}
    entries = [(name, "") for name in colours] if len(colours) > 1 else []
    legend, top = legend_of(entries, 52, width, list(colours.values()))
    height += max(0.0, top - _ONE_LINE)
    top, bottom = top + 14, height - 38
    xs = [x for x, _ in points]
    x = _Axis(min(xs), max(xs), 64, width - 28)
    y = _Axis(levels[0], levels[-1], bottom, top)
    drawn = _grid(y, levels, 52, width, y_title)
    distinct = sorted(set(xs))
    most = min(8, int(width / _FOR_A_TICK))
    at = distinct if len(distinct) <= most + 1 else ticks(distinct[0], distinct[-1], most)
    at = [v for v in at if distinct[0] <= v <= distinct[-1]]
    drawn += [text(x(v), bottom + 18, _label(v), "tick", "middle") for v in at]
    drawn.append(text(width, height - 4, x_title, "axis", "end"))
    for line in lines:
        class_ = f"s{line.colour % COLOURS}{' faint' * line.faint}{' dashed' * line.dashed}"
        places = [(x(a), y(b)) for a, b in line.points]
        path = _path(places)
        if line.band and any(map(any, line.around)):
            bars = list(zip(line.points, line.around, strict=True))
            upper = [(a, v + above) for (a, v), (_, above) in bars]
            lower = [(a, v - below) for (a, v), (below, _) in bars]
            area = f"{_path([(x(a), y(v)) for a, v in [*upper, *reversed(lower)]])}z"
            drawn.append(element("path", d=area, class_=f"band s{line.colour % COLOURS}"))
        drawn.append(element("path", element("title", line.name), d=path, class_=f"line {class_}"))
        for (a, b), (_, value), (below, above) in zip(
            places, line.points, line.around, strict=True
        ):
            if (below or above) and not line.band:
                drawn.append(_whisker(a, y(value - below), y(value + above), f"line {class_}"))
            if line.marks or (a, b) == places[-1]:
                drawn.append(mark(a, b, line.colour, 3.5, f"{line.name}: {short(value)}"))
    drawable = [line for line in lines if line.points]
    ends = (f"{n.name} from {short(n.points[0][1])} to {short(n.points[-1][1])}" for n in drawable)
    title = f"{y_title} over {x_title}: {'; '.join(ends)}"
    return picture(width, height, title, legend, *drawn)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)


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
    dots: bool = False,
) -> Markup:
    """Return bars in groups, with error bars; the axis includes zero.

    With `dots` they are points, on an axis that need not include zero: for losses, whose
    differences are small beside them.
    """
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
    around = [] if dots else [0.0]
    levels = ticks(min(*around, *tops), max(*around, *tops))
    entries = [(s.name, f"bar s{s.colour % COLOURS}") for s in series]
    shapes = [s.colour for s in series] if dots else []
    legend, top = legend_of(entries if len(entries) > 1 else [], 52, width, shapes)
    height += max(0.0, top - _ONE_LINE)
    # Groups stand in as many rows below each other as their names and bars need.
    named = sum(map(bool, groups)) / len(groups)
    need = max(8.0 * len(series), LETTER * min(11, max(map(len, groups))) * named + 8)
    lines = math.ceil(need * len(groups) / (width - 52))
    wide = math.ceil(len(groups) / lines)
    pitch = (width - 52) / wide
    slot = min(pitch * 0.82 / len(series), 46)
    drawn = []
    for line in range(lines):
        bottom = top + (height - top) * (line + 1) - 30
        y = _Axis(levels[0], levels[-1], bottom, bottom + 44 + top - height)
        drawn += _grid(y, levels, 52, width, "" if line else y_title)
        for g, group in list(enumerate(groups))[line * wide : (line + 1) * wide]:
            middle = 52 + pitch * (g % wide + 0.5)
            label = fitted(group, max(4, (pitch - 7) / LETTER))
            drawn.append(text(middle, bottom + 19, label, "name", "middle"))
            for n, (s, e) in enumerate(zip(series, errors, strict=True)):
                left = middle + (n - len(series) / 2) * slot
                name = f"{s.name}, {group}"
                drawn += _bar(y, left, slot, s.colour, name, s.values[g], e[g], dots)
    told = (
        f"{s.name} {short(v)} at {g}"
        for s in series
        for g, v in zip(groups, s.values, strict=True)
        if v is not None
    )
    return picture(
        width, top + (height - top) * lines, f"{y_title}: {'; '.join(told)}", legend, *drawn
    )


def _bar(
    y: _Axis,
    left: float,
    slot: float,
    colour: int,
    name: str,
    value: float | None,
    half: float | None,
    dot: bool,
) -> list[Markup]:
    """Return the bar or the dot of a value, if there is one, and the whisker of its error."""
    if value is None:
        return []
    tip = f"{name}: {short(value)}" + (f" ± {short(half)}" if half else "")
    if dot:
        drawn = [mark(left + slot / 2, y(value), colour, 4, tip)]
    else:
        upper, lower = sorted((y(0), y(value)))
        class_ = f"bar s{colour % COLOURS}"
        drawn = [box(left + 1, upper, slot - 2, lower - upper, class_, tip)]
    if half:
        drawn.append(_whisker(left + slot / 2, y(value - half), y(value + half), "whisker"))
    return drawn


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
    gutter = min(260.0, 24 + LETTER * max(len(row.label) for row in rows))
    margin = min(260.0, 16 + LETTER * max(len(row.note) for row in rows))
    above = 17.0 if gutter + margin > 0.7 * width else 0.0
    if above:
        gutter = margin = 0.0
    longest = maximum or max(sum(length for _, length, _ in row.parts) for row in rows) or 1.0
    key, top = legend_of(((n, f"bar {c}") for n, c in legend), 0, width)
    top = top - 14 if legend else 4.0
    x = _Axis(0.0, longest, gutter, width - margin)
    drawn = []
    for number, row in enumerate(rows):
        y, left = top + number * (26 + above) + above, 0.0
        if above:
            room = width / LETTER - len(row.note) - 2
            drawn.append(text(0, y - 2, fitted(row.label, max(4, room)), "name"))
            drawn.append(text(width, y - 2, row.note, "tick", "end"))
        else:
            drawn.append(
                text(gutter - 10, y + 15, fitted(row.label, gutter / LETTER), "name", "end")
            )
            drawn.append(text(x(longest) + 10, y + 15, row.note, "tick"))
        drawn.append(box(gutter, y + 3, x(longest) - gutter, 17, "track"))
        for name, length, class_ in row.parts:
            of = f"{row.label}, {name}" if name else row.label
            tip = f"{of}: {short(length)}"
            drawn.append(box(x(left), y + 3, x(left + length) - x(left), 17, f"bar {class_}", tip))
            left += length
    bottom = top + len(rows) * (26 + above)
    if reference is not None:
        drawn.append(stroke(x(reference), top, x(reference), bottom, "reference"))
    moved = element("g", key, transform="translate(0 -24)") if legend else key
    told = "; ".join(f"{row.label}: {row.note}" for row in rows)
    return picture(width, bottom + 4, f"bars: {told}", moved, *drawn)
