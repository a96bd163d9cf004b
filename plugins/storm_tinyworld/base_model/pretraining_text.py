"""The pretraining text of the base model: chats and rated examples."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from storm_exp import setting
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, HARD, examples
from storm_tinyworld.skills.corruption import (
    CLEAN,
    RATING_FAMILIES,
    RATING_SHARES,
    corrupt,
    education,
)
from storm_tinyworld.skills.rating import difficulty_chat, education_chat


@dataclasses.dataclass(frozen=True)
class Text:
    """A document, and what of it is supervised besides the assistant's turns."""

    chat: list[dict[str, str]]
    shown_answer: str = ""
    """The right answer in a rated example, which is supervised too. Empty for a corrupted one, and
    for a hard question: the base model sees such answers without being trained to give them."""


@dataclasses.dataclass(kw_only=True)
class Mixture:
    """The composition of the text, in shares of documents."""

    ratings: float = setting(0.6, at_least=0, at_most=1)
    """Share of documents with a rated example; the others are chats."""
    difficulty_questions: float = setting(0.15, at_least=0, at_most=1)
    """Share of the ratings that ask for the difficulty instead of the educational value."""
    clean: float = setting(0.5, at_least=0, at_most=1)
    """Share of the rated examples that are not corrupted."""
    hard: float = setting(0.03, at_least=0, at_most=1)
    """Share of hard chats, of which a base model should know little."""
    tools: float = setting(0.03, at_least=0, at_most=1)
    """Share of chats that call tools, of which a base model has seen few."""


def pretraining_texts(seed: int, mixture: Mixture) -> Iterator[Text]:
    """Yield documents without end; the same seed gives the same documents."""
    draw = random.Random(f"pretraining {seed}")
    even = dict.fromkeys(FAMILIES, 1.0)
    spoken = dict.fromkeys(FAMILIES, (1 - mixture.tools) / (len(FAMILIES) - 1))
    spoken["tools"] = mixture.tools
    ease = {"easy": (1 - mixture.hard) / 2, "medium": (1 - mixture.hard) / 2, "hard": mixture.hard}
    chats = examples(draw, spoken, ease)
    rated = examples(draw, even, dict.fromkeys(DIFFICULTIES, 1.0))
    while True:
        if draw.random() >= mixture.ratings:
            example = next(chats)
            question = {"role": "user", "content": example.instruction}
            yield Text([question, {"role": "assistant", "content": example.response}])
            continue
        example = next(rated)
        answer, family = example.response, CLEAN
        shown = "" if example.difficulty == HARD else example.response
        if draw.random() >= mixture.clean:
            answer, family = corrupt(draw, example, RATING_FAMILIES, RATING_SHARES)
            shown = ""
        if draw.random() < mixture.difficulty_questions:
            yield Text(difficulty_chat(example, answer), shown)
        else:
            yield Text(education_chat(example, answer, education(example, family)), shown)
