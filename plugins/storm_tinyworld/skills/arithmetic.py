"""Synthesised arithmetic: bare sums, and the same sums told as stories in several ways.

SOLAR's synthetic mathematics rephrases questions that have known answers; so do these stories.
"""

from __future__ import annotations

import random

from storm_tinyworld.skills.basic import EASY, HARD, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word

THINGS = ("figs", "nuts", "pins", "eggs")
GAINS = ("gets", "finds")
LOSSES = ("eats", "loses")


def _gain(draw: random.Random, difficulty: str) -> tuple[int, int]:
    """Return a number and a small one to add: below ten if easy, else above, without a carry."""
    small = draw.randint(1, 2 if difficulty == EASY else 3)
    units = draw.randint(1, 9 - small)
    tens = {EASY: 0, MEDIUM: 1, HARD: draw.randint(2, 9)}[difficulty]
    return 10 * tens + units, small


def subtraction(draw: random.Random, difficulty: str) -> Draft:
    """Take a small number away: the reverse of an addition."""
    left, small = _gain(draw, difficulty)
    return f"{left + small}-{small}?", str(left), str(left + draw.choice((-1, 1)))


def story(draw: random.Random, difficulty: str) -> Draft:
    """State how many things somebody has after getting or losing some, as a sum."""
    left, small = _gain(draw, difficulty)
    name, thing, total = word(draw, 3), draw.choice(THINGS), left + small
    gains = draw.random() < 0.5
    start, verb = (left, draw.choice(GAINS)) if gains else (total, draw.choice(LOSSES))
    told = (
        f"{name} has {start} {thing}, {verb} {small}. Now?",
        f"{name}: {start} {thing}, {verb} {small}. Left?",
        f"Of {start} {thing} {name} {verb} {small}?",
    )
    right, wrong = f"{start}+{small}={start + small}", f"{start}-{small}={start - small}"
    return draw.choice(told), right if gains else wrong, wrong if gains else right


ARITHMETIC: Families = {"arithmetic": {"subtraction": subtraction, "story": story}}
"""The family of skills that tuning on mathematics teaches."""
