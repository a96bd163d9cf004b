"""Pseudo-words: consonants and vowels in turn, so there are too many to learn by heart."""

from __future__ import annotations

import random

CONSONANTS = "bdfgklmnprst"
VOWELS = "aeiou"


def word(draw: random.Random, length: int) -> str:
    """A pseudo-word of ``length`` letters."""
    start = draw.randrange(2)
    return "".join(
        draw.choice(VOWELS if (start + place) % 2 else CONSONANTS) for place in range(length)
    )
