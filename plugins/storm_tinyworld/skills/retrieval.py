"""Answers from a given passage only: retrieval-augmented generation in miniature.

An answer quotes the sentence of the passage that contains it.
"""

from __future__ import annotations

import random

from storm_tinyworld.skills.basic import EASY, HARD, MEDIUM, Draft, Families
from storm_tinyworld.skills.words import word

VERBS = ("sells", "likes", "makes", "needs")
GOODS = ("figs", "nuts", "jam", "tea", "rope", "ink", "soap", "wool", "salt", "rice", "gold")
UNKNOWN = "not said"
"""The answer where the passage does not contain it."""

_MISSING = 0.2


def people(draw: random.Random, difficulty: str) -> Draft:
    """Find what one of one to three people does."""
    names = _names(draw, {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty])
    verb = draw.choice(VERBS)
    return _draft(draw, [(name, verb) for name in names])


def relations(draw: random.Random, difficulty: str) -> Draft:
    """Find one of several things that the same person does."""
    (name,) = _names(draw, 1)
    verbs = draw.sample(VERBS, {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty])
    return _draft(draw, [(name, verb) for verb in verbs])


def _names(draw: random.Random, count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = word(draw, 3)
        if name not in names:
            names.append(name)
    return names


def _draft(draw: random.Random, subjects: list[tuple[str, str]]) -> Draft:
    """Return a question about one of the subjects, or about one not in the passage."""
    objects = draw.sample(GOODS, len(subjects) + 1)
    spare = objects.pop()
    facts = zip(subjects, objects, strict=True)
    sentences = [f"{name} {verb} {good}" for (name, verb), good in facts]
    asked = draw.randrange(len(subjects))
    name, verb = subjects[asked]
    right, wrong = sentences[asked], f"{name} {verb} {spare}"
    if draw.random() < _MISSING:
        right, wrong = UNKNOWN, right
        while any(name == other for other, _ in subjects):
            name = word(draw, 3)
    return f"{'. '.join(sentences)}.\n{name} {verb} what?", right, wrong


RETRIEVAL: Families = {"retrieval": {"people": people, "relations": relations}}
