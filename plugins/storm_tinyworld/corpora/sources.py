"""The pool's five sources of different quality, as in Storm's mixture.

Each source has its own kinds of corruption, so that bad rows are not merely noise that averages
out. Shares, families and weights were fixed before the first measurement.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, Example, examples
from storm_tinyworld.skills.corruption import CLEAN, POOL_FAMILIES, corrupt, education


@dataclass(frozen=True)
class Source:
    """A source: its share of the pool, its skills, and its corruption."""

    share: float
    clean: float
    """Share of its rows that are not corrupted."""
    families: dict[str, float] = field(default_factory=lambda: dict.fromkeys(FAMILIES, 1.0))
    corruption: dict[str, float] = field(default_factory=dict)
    """Weights of the families of corruption; empty: equal weights of all the pool's."""


SOURCES = {
    "textbook": Source(share=0.25, clean=0.85),
    "crawl": Source(
        share=0.2,
        clean=0.25,
        corruption={"scrambled": 1, "swapped": 1, "babble": 1, "truncated": 1, "echo": 2},
    ),
    "forum": Source(share=0.2, clean=0.35, corruption={"chatter": 2, "typo": 1, "mistake": 1}),
    "homework": Source(
        share=0.2,
        clean=0.4,
        families={"following": 1.0, "lookup": 1.0, "reasoning": 2.0},
        corruption={"mistake": 3, "typo": 1},
    ),
    "agents": Source(
        share=0.15,
        clean=0.5,
        families={"tools": 1.0},
        corruption={"truncated": 2, "mistake": 1, "chatter": 1},
    ),
}


def pool_rows(seed: int) -> Iterator[dict[str, Any]]:
    """Yield pool rows with their truth without end, no instruction twice."""
    draw = random.Random(f"pool {seed}")
    even = dict.fromkeys(DIFFICULTIES, 1.0)
    streams = {name: examples(draw, source.families, even) for name, source in SOURCES.items()}
    names = list(SOURCES)
    shares = [SOURCES[name].share for name in names]
    seen: set[str] = set()
    while True:
        name = draw.choices(names, shares)[0]
        example = next(streams[name])
        if example.instruction in seen:
            continue
        seen.add(example.instruction)
        answer, family = example.response, CLEAN
        if draw.random() >= SOURCES[name].clean:
            answer, family = corrupt(draw, example, POOL_FAMILIES, SOURCES[name].corruption)
        yield chat_row(f"{name}-{len(seen) - 1:05d}", name, example, answer, family)


def chat_row(
    identifier: str, source: str, example: Example, answer: str, family: str
) -> dict[str, Any]:
    """Return a row of a data set: the chat, and columns of truth that never enter a prompt."""
    return {
        "id": identifier,
        "messages": [
            {"role": "user", "content": example.instruction},
            {"role": "assistant", "content": answer},
        ],
        "source": source,
        "truth_quality": education(example, family),
        "truth_difficulty": example.difficulty,
        "truth_corruption": family,
        "truth_skill": example.skill,
        "truth_family": example.family,
        "truth_response": example.response,
    }


TRUTH = {
    "truth_quality": "int64",
    "truth_difficulty": "string",
    "truth_corruption": "string",
    "truth_skill": "string",
    "truth_family": "string",
    "truth_response": "string",
}
"""The columns of truth, with their Arrow types."""
