"""Pseudo-words of alternating consonants and vowels, too many to memorise."""

from __future__ import annotations

import random

CONSONANTS = "bdfgklmnprst"
VOWELS = "aeiou"


def word(draw: random.Random, length: int) -> str:
    """Return a pseudo-word of ``length`` letters."""
    start = draw.randrange(2)
    return "".join(
        draw.choice(VOWELS if (start + index) % 2 else CONSONANTS) for index in range(length)
    )
