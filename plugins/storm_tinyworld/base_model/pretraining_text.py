"""The text on which the base model of this world is pretrained: chats, and examples being rated."""

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
    """A document, and what of it is learnt besides what the assistant says."""

    chat: list[dict[str, str]]
    shown_answer: str = ""
    """The right answer shown in a rated example, which is learnt too. Empty for a spoilt one, and
    where the question is hard: the base model sees such answers, but is not taught to give them."""


@dataclasses.dataclass(kw_only=True)
class Mixture:
    """What the text consists of, in shares of documents."""

    ratings: float = setting(0.6, at_least=0, at_most=1)
    """Share of documents in which an example is rated; the rest are chats."""
    difficulty_questions: float = setting(0.15, at_least=0, at_most=1)
    """Share of the ratings that ask for the difficulty instead of the educational value."""
    clean: float = setting(0.5, at_least=0, at_most=1)
    """Share of the rated examples that nothing corrupted."""
    hard: float = setting(0.03, at_least=0, at_most=1)
    """Share of the chats that are hard: what a base model knows least."""
    tools: float = setting(0.03, at_least=0, at_most=1)
    """Share of the chats that call tools: a base model has seen few."""


def pretraining_texts(seed: int, mixture: Mixture) -> Iterator[Text]:
    """An endless stream of documents; the same seed gives the same documents."""
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
