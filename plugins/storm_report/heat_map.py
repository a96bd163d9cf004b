"""A heat map as SVG: cells that share the width of the window, beside labels that keep theirs."""

from __future__ import annotations

import math

from markupsafe import Markup

from storm_report.svg import LETTER, NARROW, WIDTH, element, short, text

_LINE, _SIDE = 32, 92.0
"""Pixels: pitch of rows, and the widest cell."""
_FOR_A_VALUE, _FOR_A_TICK = 40.0, 28.0
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
) -> Markup:
    """Return cells shaded by their value, between the lowest and the highest of all.

    With `by_row`, shades are relative to the row. `marked` cells have an outline. Wide cells show
    their value.
    """
    if not values:
        return Markup()
    gutter = round(20 + LETTER * max((len(r) for r in rows), default=0))
    share = 100 / max(1, len(columns))
    side, narrow = (min(_SIDE, (w - gutter) * share / 100) for w in (WIDTH, NARROW))
    darkest = _DARK_BELOW_TEXT if side >= _FOR_A_VALUE else _DARK
    names, cells = [], []
    for r, row in enumerate(rows):
        compared = [v for (of, _), v in values.items() if of == row or not by_row]
        low, high = min(compared, default=0.0), max(compared, default=1.0)
        names.append(text(-10, 20 + r * _LINE, row, "name", "end"))
        for c, column in enumerate(columns):
            if (row, column) not in values:
                continue
            value = values[row, column]
            tip = element("title", f"{row}, {column}: {short(value)}")
            class_ = "cell marked" if (row, column) in marked else "cell"
            x = f"{c * share:.5g}%"
            cell = element("rect", tip, x=x, y=3.5 + r * _LINE, height=26, class_=class_)
            level = (value - low) / (high - low) if high > low else 0.5
            shade = _LIGHT + (darkest - _LIGHT) * level
            cells.append(element("g", cell, style=f"--level:{shade:.0f}%"))
            if side >= _FOR_A_VALUE:
                class_ = "value" if narrow >= _FOR_A_VALUE - 6 else "value at-wide"
                cells.append(_at((c + 0.5) * share, 20.5 + r * _LINE, short(value), class_))
    bottom = 18 + _LINE * len(rows)
    every, sparse = (max(1, math.ceil(_FOR_A_TICK / width)) for width in (side, narrow))
    for c, column in enumerate(columns):
        if c % every == 0 or c % sparse == 0:
            shown = " at-wide" * bool(c % sparse) + " at-narrow" * bool(c % every)
            cells.append(_at((c + 0.5) * share, bottom, column, f"tick{shown}"))
    names.append(text(-10, bottom, x_title, "axis", "end"))
    marks = f"; outlined: {', '.join(f'{r} {c}' for r, c in sorted(marked))}" if marked else ""
    # Labels keep their width in the padding, and shares are of what the window leaves.
    fitting = (
        f"box-sizing:border-box;padding-left:{gutter}px;overflow:visible;height:{bottom + 8}px;"
        f"max-width:{gutter + side * len(columns):.0f}px;--side:calc({share:.5g}% - 3px)"
    )
    return element(
        "svg",
        *names,
        *cells,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        width="100%",
        height=bottom + 8,
        style=fitting,
        role="img",
        aria_label=f"{', '.join(rows)} by {x_title}{marks}",
    )


def _at(share: float, y: float, content: str, class_: str) -> Markup:
    """Return text that is centred at a share of the cells' width, in per cent."""
    return element(
        "text", content, x=f"{share:.5g}%", y=y, dx=-1.5, class_=class_, text_anchor="middle"
    )
