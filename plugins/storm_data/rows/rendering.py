"""Texts that a template made of a row: what was read, and nothing else that says something."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKUP = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_]{1,30}\]|[\W_]+")
"""Control tokens (`<|im_end|>`, `[INST]`), white space, punctuation."""
_HEADING = 16
"""Letters that may stand beside a text: `### Instruction:`, `assistant`, `The answer is`."""
_LONGEST_HEADING = 200
_MOST_OPENINGS = 4
"""Alpaca's template has two: with an input, and without."""


class Renderings:
    """Tells renderings from texts that say more, over the rows of one data set.

    In a rendering each text stands in its order, and between them no more than a heading. Only
    before the first may be more (`Below is an instruction ...`), ending in a line break, a colon
    or a control token: a column has few such openings, while what is said of a row differs from
    row to row.
    """

    def __init__(self) -> None:
        """Know no opening yet."""
        self._openings: dict[str, set[str]] = {}

    def holds(self, column: str, value: str, texts: Sequence[str]) -> bool:
        """Return whether a column's value renders `texts`, at least one, none of them empty."""
        end = len(value)
        for text in reversed(texts):  # from the end: a preamble may hold a short one by chance
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
    """Return where a text stands last before `end`, not as a part of a word; -1 for nowhere."""
    while (start := value.rfind(text, 0, end)) >= 0:
        after = start + len(text)
        first, last = value[max(start - 1, 0) : start + 1], value[after - 1 : after + 1]
        if not (first.isalnum() and len(first) == 2) and not (last.isalnum() and len(last) == 2):
            return start
        end = after - 1
    return start


def _is_heading(text: str) -> bool:
    return len(text) <= _LONGEST_HEADING and len(_MARKUP.sub("", text)) <= _HEADING
