"""Short programs in a subset of Python that print one value.

They represent code, TinyLlama's second source of text, and questions about it.
"""

from __future__ import annotations

import itertools
import random

from storm_tinyworld.skills.basic import EASY, HARD, LETTERS, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word


def assignments(draw: random.Random, difficulty: str) -> Draft:
    """Follow a number through one to three assignments; every value is a digit."""
    count = {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty]
    names = draw.sample(LETTERS, count)
    values = [draw.randint(0, 9)]
    lines = [f"{names[0]}={values[0]}"]
    for before, name in itertools.pairwise(names):
        value, term = _changed(draw, values[-1])
        lines.append(f"{name}={before}{term}")
        values.append(value)
    value, term = _changed(draw, values[-1])
    lines.append(f"print({names[-1]}{term})")
    return "\n".join(lines), str(value), str(draw.choice([v for v in range(10) if v != value]))


def _changed(draw: random.Random, value: int) -> tuple[int, str]:
    """Return another digit close to `value`, and the term that yields it."""
    step = draw.choice([s for s in (-3, -2, -1, 1, 2, 3) if 0 <= value + s <= 9])
    return value + step, f"{step:+d}"


def texts(draw: random.Random, difficulty: str) -> Draft:
    """Print a word as it is, in capitals, twice, or backwards."""
    name = draw.choice(LETTERS)
    term = word(draw, {EASY: 3, MEDIUM: 4, HARD: 5}[difficulty])
    shown = {
        name: term,
        f"{name}.upper()": term.upper(),
        f"{name}*2": term * 2,
        f"{name}[::-1]": term[::-1],
    }
    asked = draw.choice(list(shown))
    wrong = draw.choice([text for text in shown.values() if text != shown[asked]])
    return f'{name}="{term}"\nprint({asked})', shown[asked], wrong


def choices(draw: random.Random, difficulty: str) -> Draft:
    """Print the value of one of two to four names."""
    names = draw.sample(LETTERS, {EASY: 2, MEDIUM: 3, HARD: 4}[difficulty])
    terms = {name: word(draw, 3) for name in names}
    asked, other = draw.sample(names, 2)
    while terms[other] == terms[asked]:
        terms[other] = word(draw, 3)
    lines = [f'{name}="{term}"' for name, term in terms.items()]
    return "\n".join([*lines, f"print({asked})"]), terms[asked], terms[other]


PROGRAMS: Families = {"code": {"assignments": assignments, "texts": texts, "choices": choices}}
"""The family of skills on programs and their output."""
