"""Cells of CSV files that a spreadsheet takes for what they are: numbers, or inert text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from storm_report.controls import escape_controls

_N = r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
_FIGURE = re.compile(
    rf"(?P<value>{_N})(?: ± (?P<error>{_N}))?(?: \[(?P<low>{_N}), (?P<high>{_N})\])?"
)
_INTERVAL = re.compile(rf"(?P<low>{_N}) to (?P<high>{_N})")
_NAMES = {"value": "", "error": " ±", "low": " low", "high": " high"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that spreadsheets run as a formula."""


def inert(text: str) -> str:
    """Return text that no spreadsheet runs: one that begins as a formula does has a ' before it."""
    is_number = re.fullmatch(_N, text) is not None
    return text if is_number or not text.startswith(_FORMULA) else f"'{text}"


def spread_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return header and rows in which figures as shown, `0.50 ± 0.01`, have a column a number."""
    columns = [column for each in zip(header, *rows, strict=True) for column in _columns(*each)]
    return [list(row) for row in zip(*columns, strict=True)]


def _columns(name: str, *cells: str) -> Iterator[list[str]]:
    found = [_FIGURE.fullmatch(cell) or _INTERVAL.fullmatch(cell) for cell in cells]
    if not any(found) or any(cell and not match for cell, match in zip(cells, found, strict=True)):
        yield [inert(escape_controls(text)) for text in (name, *cells)]
        return
    parts = [match.groupdict() if match else {} for match in found]
    for part, suffix in _NAMES.items():
        numbers = [_plain(each.get(part) or "") for each in parts]
        if any(numbers):
            yield [inert(f"{name}{suffix}"), *numbers]


def _plain(number: str) -> str:
    return number.replace(",", "").replace("−", "-")
