"""Families of corruption of answers, which were fixed before the judge was first measured.

Their weights in the rating text and the skills that they affect were changed later; see
docs/recipes/storm.md.

Rating text (which the base model sees in pretraining) and pool (which the judge rates) are
corrupted by different sets of families, and drawn with different seeds:

============  ===========  ====  ============================================================
family        rating text  pool  what happens to the answer
============  ===========  ====  ============================================================
scrambled     yes          yes   its characters are put in another order
truncated     yes          yes   it breaks off halfway
swapped       yes          yes   it is the answer to a question of another skill
babble        yes          yes   it falls into repeating a fragment
mistake       yes          yes   right form, wrong result
typo          yes          yes   one letter or digit is another one
chatter       yes          yes   right, then small talk; the pool has small talk of its own
noise         yes          no    punctuation is strewn in
echo          no           yes   the question is given back: the family that no rating text shows
============  ===========  ====  ============================================================

The educational value of an example (``education``, 1 to 5): junk is 1; a wrong or incomplete answer
to the question is 2; a right answer in bad form is 3; a right and clean one is 4 when the question
is easy and teaches little, else 5.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterable

from storm_tinyworld.skills.basic import DIFFICULTIES, EASY, FAMILIES, Example

CLEAN = ""
"""The family of an uncorrupted answer."""

RATING_CHATTER = (" ok", " Bye!", " I hope so.")
POOL_CHATTER = (" fine", " Thanks!", " Is that all?")


def scrambled(draw: random.Random, example: Example) -> str:
    """The answer's characters in another order."""
    characters = list(example.response)
    draw.shuffle(characters)
    return "".join(characters)


def truncated(draw: random.Random, example: Example) -> str:
    """The first part of the answer, about half of it."""
    length = len(example.response)
    return example.response[: max(1, draw.randint(length // 3, (2 * length) // 3))]


def swapped(draw: random.Random, example: Example) -> str:
    """The answer to a question of another skill."""
    skills = [(f, s) for f in sorted(FAMILIES) for s in sorted(FAMILIES[f]) if s != example.skill]
    family, skill = draw.choice(skills)
    return FAMILIES[family][skill](draw, draw.choice(DIFFICULTIES))[1]


def babble(draw: random.Random, example: Example) -> str:
    """A fragment of the answer over and over."""
    size = min(len(example.response), draw.randint(1, 3))
    start = draw.randint(0, len(example.response) - size)
    return example.response[start : start + size] * draw.randint(4, 7)


def mistake(draw: random.Random, example: Example) -> str:
    """A wrong result in the right form."""
    return example.mistake


def typo(draw: random.Random, example: Example) -> str:
    """One letter or digit replaced by another of its kind."""
    places = [i for i, c in enumerate(example.response) if c.isalnum()]
    if not places:
        return example.response
    index = draw.choice(places)
    old = example.response[index]
    kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    kind = next(letters for letters in kinds if old in letters)
    new = draw.choice([letter for letter in kind if letter != old])
    return example.response[:index] + new + example.response[index + 1 :]


def _chatter(phrases: tuple[str, ...]) -> Callable[[random.Random, Example], str]:
    def chatter(draw: random.Random, example: Example) -> str:
        return example.response + draw.choice(phrases)

    return chatter


def noise(draw: random.Random, example: Example) -> str:
    """Punctuation strewn in."""
    text = example.response
    for _ in range(draw.randint(2, 4)):
        index = draw.randint(0, len(text))
        text = text[:index] + draw.choice("#$%&*@^~") + text[index:]
    return text


def echo(draw: random.Random, example: Example) -> str:
    """The question again."""
    return example.instruction


_SEEN: dict[str, Callable[[random.Random, Example], str]] = {
    "scrambled": scrambled,
    "truncated": truncated,
    "swapped": swapped,
    "babble": babble,
    "mistake": mistake,
    "typo": typo,
}
RATING_FAMILIES = {**_SEEN, "chatter": _chatter(RATING_CHATTER), "noise": noise}
RATING_SHARES = dict.fromkeys(RATING_FAMILIES, 1.0) | {
    "mistake": 4.0,
    "typo": 3.0,
    "scrambled": 2.0,
}
"""Weights in the rating text: higher for corruption that is hard to notice."""
POOL_FAMILIES = {**_SEEN, "chatter": _chatter(POOL_CHATTER), "echo": echo}
UNSEEN_FAMILIES = tuple(sorted(set(POOL_FAMILIES) - set(RATING_FAMILIES)))

_WORTH = {"truncated": 2, "mistake": 2, "typo": 2, "chatter": 3}


def education(example: Example, family: str) -> int:
    """Return the true educational value, 1 to 5, of an example with this family of corruption."""
    if family == CLEAN:
        return 4 if example.difficulty == EASY else 5
    return _WORTH.get(family, 1)


def corrupt(
    draw: random.Random,
    example: Example,
    families: dict[str, Callable[[random.Random, Example], str]],
    weights: dict[str, float] | None = None,
) -> tuple[str, str]:
    """Return a corrupted answer, different from the right one, and the family of corruption.

    Where a family cannot change the answer (a single letter has no other order), another is drawn.
    """
    chosen: Iterable[str] = list(weights) if weights else sorted(families)
    names = list(chosen)
    shares = list(weights.values()) if weights else [1.0] * len(names)
    while True:
        family = draw.choices(names, shares)[0]
        answer = families[family](draw, example)
        if answer != example.response:
            return answer, family
