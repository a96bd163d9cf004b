"""Role play: answering in a character's manner, or with a given name, trade and town."""

from __future__ import annotations

import random
from collections.abc import Callable

from storm_tinyworld.skills.basic import EASY, HARD, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word

MANNERS: dict[str, Callable[[str], str]] = {
    "robot": lambda term: f"{term.upper()}.",
    "pirate": lambda term: f"Arr, {term}!",
    "cat": lambda term: f"{term}, meow",
    "ghost": lambda term: f"Boo! {term}",
    "parrot": lambda term: f"{term} {term}!",
}
"""How each character says a word."""

TRADES = ("baker", "smith", "tailor", "farmer", "pilot", "nurse", "cook", "judge")


def manner(draw: random.Random, difficulty: str) -> Draft:
    """Say a word in the manner of a character."""
    term = word(draw, {EASY: 3, MEDIUM: draw.randint(4, 5), HARD: draw.randint(6, 7)}[difficulty])
    who, other = draw.sample(sorted(MANNERS), 2)
    return f"You are a {who}. Say {term}.", MANNERS[who](term), MANNERS[other](term)


def identity(draw: random.Random, difficulty: str) -> Draft:
    """State the given name, trade or, if not easy, town; if hard, the user states some as well."""
    name, town = word(draw, 4), word(draw, 5)
    trade, others = draw.sample(TRADES, 2)
    answers = {"Name": f"I am {name}", "Job": f"I am a {trade}"}
    role = f"You are {name}, a {trade}"
    if difficulty != EASY:
        answers["Town"] = f"I am from {town}"
        role += f" of {town}"
    asked, other = draw.sample(sorted(answers), 2)
    stranger = f" I am {word(draw, 4)}, a {others}." if difficulty == HARD else ""
    return f"{role}.{stranger} {asked}?", answers[asked], answers[other]


ROLE_PLAY: Families = {"role_play": {"manner": manner, "identity": identity}}
