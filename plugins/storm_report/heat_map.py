"""A heat map as SVG: a matrix of cells that are shaded by their values."""

from __future__ import annotations

import math

from markupsafe import Markup

from storm_report.svg import LETTER, WIDTH, element, picture, short, text

_LINE, _SIDE = 32, 92.0
"""Pixels: pitch of rows, and the widest cell."""
_FOR_A_VALUE, _FOR_A_TICK = 36.0, 28.0
"""Pixels: the narrowest cell that shows its value, and the room of a column's name."""
_LIGHT, _DARK, _DARK_BELOW_TEXT = 12, 82, 55
"""Per cent of colour: of the lowest value, of the highest, and of the highest below its text."""


def heat_map(
    rows: list[str],
    columns: list[str],
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
    gutter = round(20 + LETTER * max((len(r) for r in rows), default=0))
    side = min(_SIDE, (width - gutter) / max(1, len(columns)))
    darkest = _DARK_BELOW_TEXT if side >= _FOR_A_VALUE else _DARK
    drawn = []
    for r, row in enumerate(rows):
        compared = [v for (of, _), v in values.items() if of == row or not by_row]
        low, high = min(compared, default=0.0), max(compared, default=1.0)
        drawn.append(text(gutter - 10, 20 + r * _LINE, row, "name", "end"))
        for c, column in enumerate(columns):
            if (row, column) not in values:
                continue
            value = values[row, column]
            cell = element(
                "rect",
                element("title", f"{row}, {column}: {short(value)}"),
                x=round(gutter + c * side, 1),
                y=3.5 + r * _LINE,
                width=round(side - 3, 1),
                height=26,
                class_="cell marked" if (row, column) in marked else "cell",
            )
            level = (value - low) / (high - low) if high > low else 0.5
            shade = _LIGHT + (darkest - _LIGHT) * level
            drawn.append(element("g", cell, style=f"--level:{shade:.0f}%"))
            if side >= _FOR_A_VALUE:
                middle = gutter + (c + 0.5) * side - 1.5
                drawn.append(text(middle, 20.5 + r * _LINE, short(value), "value", "middle"))
    bottom = 18 + _LINE * len(rows)
    every = max(1, math.ceil(_FOR_A_TICK / side))
    for c, column in enumerate(columns):
        if c % every == 0:
            drawn.append(text(gutter + (c + 0.5) * side - 1.5, bottom, column, "tick", "middle"))
    drawn.append(text(gutter - 10, bottom, x_title, "axis", "end"))
    marks = f"; outlined: {', '.join(f'{r} {c}' for r, c in sorted(marked))}" if marked else ""
    title = f"{', '.join(rows)} by {x_title}{marks}"
    return picture(gutter + side * len(columns), bottom + 8, title, *drawn)
