"""Columns that repeat a row's texts as a template renders them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKUP = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_]{1,30}\]|[\W_]+")
"""Control tokens (`<|im_end|>`, `[INST]`), white space, punctuation."""
_HEADING = 16
"""Most letters of a heading between texts: `### Instruction:`, `assistant`, `The answer is`."""
_LONGEST_HEADING = 200
_MOST_OPENINGS = 4
"""The most openings of a column; Alpaca's template has two, with an input and without."""


class Renderings:
    """Distinguishes renderings from other texts, over the rows of one data set.

    In a rendering the texts occur in order, with at most a heading between them. Before the first
    there may be a longer opening (`Below is an instruction ...`) that ends in a line break, a colon
    or a control token: a column has few different openings, whereas content differs between rows.
    """

    def __init__(self) -> None:
        """Start with no known openings."""
        self._openings: dict[str, set[str]] = {}

    def holds(self, column: str, value: str, texts: Sequence[str]) -> bool:
        """Return whether a column's value renders `texts`, at least one, none of them empty."""
        end = len(value)
        for text in reversed(texts):  # from the end: an opening may hold a short text by chance
            start = _last(value, text, end)
            if start < 0 or not _is_heading(value[start + len(text) : end]):
                return False
            end = start
        opening = value[:end]
        return _is_heading(opening) or self._is_known(column, opening.rstrip(" \t"))

    def _is_known(self, column: str, opening: str) -> bool:
        if not opening.endswith(("\n", ":", ">", "]")):
            return False
        known = self._openings.setdefault(column, set())
        if len(known) < _MOST_OPENINGS:
            known.add(opening)
        return opening in known


def _last(value: str, text: str, end: int) -> int:
    """Return the start of a text's last occurrence before `end` as whole words, -1 without any."""
    while (start := value.rfind(text, 0, end)) >= 0:
        after = start + len(text)
        first, last = value[max(start - 1, 0) : start + 1], value[after - 1 : after + 1]
        if not (first.isalnum() and len(first) == 2) and not (last.isalnum() and len(last) == 2):
            return start
        end = after - 1
    return start


def _is_heading(text: str) -> bool:
    return len(text) <= _LONGEST_HEADING and len(_MARKUP.sub("", text)) <= _HEADING
