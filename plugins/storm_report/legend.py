"""What tells the series of a chart apart: names beside swatches, and the points of curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from storm_report.svg import LETTER, box, element, text

COLOURS = 10
_SHAPES = (
    "m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0",
    "m-{r} -{r}h{d}v{d}h-{d}z",
    "m0 -{r}l{r} {d}h-{d}z",
    "m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z",
    "m0 {r}l{r} -{d}h-{d}z",
)
"""Circle, square, triangle, diamond, and a triangle upside down, about a point."""


def legend_of(
    entries: Iterable[tuple[str, str]], left: float, width: float, shapes: Sequence[int] = ()
) -> tuple[Markup, float]:
    """Return the legend and its height; entries are (name, class of the swatch).

    With `shapes`, the swatches are the marks of curves with these colours.
    """
    x, row, drawn = left, 0, []
    for n, (name, class_) in enumerate(entries):
        length = 24 + LETTER * len(name) + 14
        if x + length > width and x > left:
            x, row = left, row + 1
        y = 26 + row * 18
        swatch = mark(x + 5.5, y + 5.5, shapes[n], 5.5) if shapes else box(x, y, 11, 11, class_)
        drawn += [swatch, text(x + 17, y + 9.5, name, "name")]
        x += length
    return Markup().join(drawn), (row + 1) * 18 + 16 if drawn else 12


def mark(x: float, y: float, colour: int, radius: float, tip: str = "") -> Markup:
    """Return a point of a curve, whose shape tells it from others where colours do not."""
    path = _SHAPES[colour % len(_SHAPES)].format(r=radius, d=2 * radius)
    title = [element("title", tip)] if tip else []
    class_ = f"bar s{colour % COLOURS}"
    return element("path", *title, d=f"M{x:.1f} {y:.1f}{path}", class_=class_)
