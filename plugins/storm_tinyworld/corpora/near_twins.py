"""Near duplicates of evaluation questions in the text of this world.

No test question occurs in the text, but the world is small: an easy question may occur with its
parts in another order, or a sum in another story. How often is a property of the benchmark,
reported with its scores.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable, Iterable
from typing import Any

_APART = re.compile(r"(</?\w+>|\+)")
_MARKS = ".,:?"
_SIGN = re.compile(r"\w+|[^\w\s]")
_SUM = re.compile(r"\d+[+-]\d+=\d+")


@dataclasses.dataclass
class Twins:
    """Counts of questions that occur in a text, exactly or nearly."""

    questions: int = 0
    verbatim: int = 0
    """In the same words; by the world's rule, none does."""
    reordered: int = 0
    """With the same parts (words, numbers, entries, comparisons, summands) in another order."""
    retold: int = 0
    """Reordered, or where the answer is a sum, in a story with the same sum."""
    shuffled: int = 0
    """Retold, or with the same words, numbers and signs in any order, whatever the answer."""


def count_twins(
    questions: Iterable[dict[str, Any]], text: Iterable[tuple[str, str]]
) -> dict[str, Twins]:
    """Return the near twins of questions by difficulty.

    `questions` have `instruction`, `response` and `difficulty`; `text` is (instruction, right
    answer).
    """
    verbatim: set[str] = set()
    parts: set[Hashable] = set()
    signs: set[Hashable] = set()
    sums: set[str] = set()
    for instruction, response in text:
        if instruction not in verbatim:
            verbatim.add(instruction)
            parts.add(_parts(instruction))
            signs.add(_signs(instruction))
        sums.update(_SUM.findall(response))
    by_difficulty: dict[str, Twins] = {}
    for question in questions:
        twins = by_difficulty.setdefault(question["difficulty"], Twins())
        instruction = question["instruction"]
        reordered = _parts(instruction) in parts
        retold = reordered or question["response"] in sums
        twins.questions += 1
        twins.verbatim += instruction in verbatim
        twins.reordered += reordered
        twins.retold += retold
        twins.shuffled += retold or _signs(instruction) in signs
    return by_difficulty


def _parts(instruction: str) -> Hashable:
    words = _APART.sub(r" \1 ", instruction).split()
    return tuple(sorted(word.strip(_MARKS) for word in words))


def _signs(instruction: str) -> Hashable:
    return tuple(sorted(_SIGN.findall(instruction)))
