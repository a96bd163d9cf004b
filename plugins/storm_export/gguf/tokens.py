"""The tokenizer as a GGUF file stores it."""

from __future__ import annotations

import dataclasses
import enum

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""llama.cpp's token types. User-defined tokens are matched before pre-tokenisation."""


NO_MERGE = "Ā Ā"
"""Placeholder for an empty list of merges, which llama.cpp rejects: it joins two NUL bytes, which
do not occur in text."""


class Space(enum.Enum):
    """Where a SentencePiece tokenizer inserts a space."""

    NOWHERE = "nowhere"
    FIRST = "first"
    """At the beginning of a text, unless it begins with a special token."""
    EVERYWHERE = "everywhere"
    """At the beginning of a text and after every special token."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tokens in the order of their ids, and the algorithm that encodes text."""

    model: str
    """gpt2: byte-level BPE, merges by rank. llama: SentencePiece BPE, merges by score."""
    pre: str
    """llama.cpp's name of the pre-tokenizer."""
    tokens: list[str]
    types: list[int]
    scores: list[float] | None = None
    merges: list[str] | None = None
    space: Space = Space.NOWHERE
    remarks: list[str] = dataclasses.field(default_factory=list)
    """Differences between llama.cpp and transformers."""

    def first(self, count: int) -> Vocabulary:
        """Return the vocabulary cut down to its first `count` tokens."""
        return dataclasses.replace(
            self,
            tokens=self.tokens[:count],
            types=self.types[:count],
            scores=self.scores and self.scores[:count],
        )
