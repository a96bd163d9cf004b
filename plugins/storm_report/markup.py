"""HTML tables and figures for sections, and the formats of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
_FOLDED = 12
"""The most artifacts of a kind that a section shows."""


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], class_: str = "") -> Markup:
    """Return an HTML table with columns of numbers aligned right."""
    body = [[str(escape(cell)) for cell in row] for row in rows]
    right = [all(map(_is_number, filter(None, column))) for column in zip(*body, strict=True)]
    right = right or [False] * len(header)
    head = _row([str(escape(name)) for name in header], right, ["th scope=col"] * len(right))
    tags = ["th scope=row", *(["td"] * (len(right) - 1))]
    html = f"<thead>{head}</thead><tbody>{''.join(_row(row, right, tags) for row in body)}</tbody>"
    return Markup(f'<div class="wide"><table class="{escape(class_)}">{html}</table></div>')


def _row(cells: Sequence[str], right: Sequence[bool], tags: Sequence[str]) -> str:
    # A header without text names nothing: then it is a cell.
    named = [tag if cell else "td" for cell, tag in zip(cells, tags, strict=True)]
    written = (
        f"<{tag}{' class=number' * number}>{cell}</{tag[:2]}>"
        for cell, number, tag in zip(cells, right, named, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>\n"


def figure(content: Markup, caption: str) -> Markup:
    """Return a figure with its caption, or nothing for an empty chart."""
    if not content:
        return Markup()
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>\n").format(content, caption)


def folded(parts: Sequence[tuple[str, Markup]]) -> Markup:
    """Return a single part unchanged, several as collapsible parts, the first one open."""
    if len(parts) == 1:
        return parts[0][1]
    fold = Markup("<details{}><summary>{}</summary>{}</details>\n")
    shown = [fold.format(Markup("" if n else " open"), *p) for n, p in enumerate(parts[:_FOLDED])]
    left = len(parts) - len(shown)
    note = Markup("<p class='note'>{} more are in the store and not shown.</p>").format(left)
    return Markup().join([*shown, *([note] if left > 0 else [])])


def number(value: float) -> str:
    """Return a number with four significant digits, large ones without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def size(count: float | None) -> str:
    """Return bytes as `812 MiB` or `1.4 GiB`."""
    if not count:
        return ""
    unit, factor = next((u, f) for u, f in _UNITS if count >= f or f == 1)
    return f"{count / factor:.{1 if factor > 2**20 else 0}f} {unit}"


def _is_number(cell: str) -> bool:
    bare = re.sub(r"<[^>]*>", "", cell)
    number = r"(&lt; ?|[+−-])?[\d.,]+%?( (s|min|h|B|KiB|MiB|GiB|±|of|to|\[) ?.*)?"
    return re.fullmatch(number, bare) is not None
