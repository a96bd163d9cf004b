"""Stories of the miniature world: consistent sentences about its people."""

from __future__ import annotations

import random
from collections.abc import Iterator

from storm_tinyworld.skills.role_play import TRADES
from storm_tinyworld.skills.words import word

_OPENINGS = ("Once", "Long ago", "One day", "In May", "Last week")
_FEELINGS = ("glad", "sad", "tired", "proud", "calm")


def story(draw: random.Random) -> Iterator[str]:
    """Yield the sentences of a story about two people, without end; only the names are random."""
    first, second = word(draw, 4), word(draw, 4)
    town, thing = word(draw, 5), word(draw, 3)
    people = {name: draw.choice(TRADES) for name in (first, second)}
    meeting = f"{first} the {people[first]} met {second} the {people[second]} in {town}"
    yield f"{draw.choice(_OPENINGS)} {meeting}."
    owner = first
    yield f"{owner} had a {thing}."
    while True:
        other = second if owner == first else first
        match draw.randrange(4):
            case 0:
                yield f"{owner} gave the {thing} to {other}. Now {other} had the {thing}."
                owner = other
            case 1:
                yield f"So {other} the {people[other]} asked {owner} for the {thing}."
            case 2:
                away = word(draw, 5)
                yield f"{other} went to {away}, and came home from {away} to {town}."
            case _:
                feeling = draw.choice(_FEELINGS)
                yield f"{owner} was {feeling}, for {owner} had the {thing}."
