"""Instructions with several constraints at once that a program can check, as in IFEval."""

from __future__ import annotations

import random
from collections.abc import Callable

from storm_tinyworld.skills.basic import EASY, HARD, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word

CONSTRAINTS: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "twice": lambda text: f"{text} {text}",
    "with a !": lambda text: f"{text}!",
    "in quotes": lambda text: f'"{text}"',
}
"""The constraints, in the order in which they are applied."""

SIGNS = "+/:;=_"


def several(draw: random.Random, difficulty: str) -> Draft:
    """Write a word under one to three constraints; the mistake ignores one of them."""
    term = word(draw, draw.randint(3, 4))
    count = {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty]
    drawn = draw.sample(sorted(CONSTRAINTS), count)
    names = [name for name in CONSTRAINTS if name in drawn]
    ignored = draw.choice(names)
    others = [name for name in names if name != ignored]
    return f"Write {term} {', '.join(names)}", _apply(term, names), _apply(term, others)


def _apply(term: str, constraints: list[str]) -> str:
    for name in constraints:
        term = CONSTRAINTS[name](term)
    return term


def joined(draw: random.Random, difficulty: str) -> Draft:
    """Join two or three words with a sign."""
    count = {EASY: 2, MEDIUM: 2, HARD: 3}[difficulty]
    terms = [word(draw, 3 if difficulty == EASY else 4) for _ in range(count)]
    sign, other = draw.sample(SIGNS, 2)
    return f"Join with {sign} {' '.join(terms)}", sign.join(terms), other.join(terms)


CONSTRAINT_SKILLS: Families = {"constraints": {"several": several, "joined": joined}}
