"""The text on which the base model of this world grows up: chats, and examples being rated."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from storm_tinyworld.corruption import CLEAN, RATING_FAMILIES, corrupt, education
from storm_tinyworld.rating import difficulty_chat, education_chat
from storm_tinyworld.skills import DIFFICULTIES, FAMILIES, examples

Chat = list[dict[str, str]]


@dataclasses.dataclass(kw_only=True)
class Mixture:
    """What the text consists of, in shares of documents."""

    ratings: float = 0.5
    """Share of documents in which an example is rated; the rest are chats."""
    difficulty_questions: float = 0.15
    """Share of the ratings that ask for the difficulty instead of the educational value."""
    clean: float = 0.5
    """Share of the rated examples that nothing corrupted."""
    hard: float = 0.1
    """Share of the chats that are hard: what a base model knows least."""


def pretraining_chats(seed: int, mixture: Mixture) -> Iterator[Chat]:
    """An endless stream of documents; the same seed gives the same documents."""
    draw = random.Random(f"pretraining {seed}")
    families = dict.fromkeys(FAMILIES, 1.0)
    ease = {"easy": (1 - mixture.hard) / 2, "medium": (1 - mixture.hard) / 2, "hard": mixture.hard}
    chats = examples(draw, families, ease)
    rated = examples(draw, families, dict.fromkeys(DIFFICULTIES, 1.0))
    while True:
        if draw.random() >= mixture.ratings:
            example = next(chats)
            yield [
                {"role": "user", "content": example.instruction},
                {"role": "assistant", "content": example.response},
            ]
            continue
        example = next(rated)
        answer, family = example.response, CLEAN
        if draw.random() >= mixture.clean:
            answer, family = corrupt(draw, example, RATING_FAMILIES)
        if draw.random() < mixture.difficulty_questions:
            yield difficulty_chat(example, answer)
        else:
            yield education_chat(example, answer, education(example, family))
