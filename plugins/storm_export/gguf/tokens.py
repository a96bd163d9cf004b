"""What a GGUF file holds of a tokenizer."""

from __future__ import annotations

import dataclasses
import enum

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""llama.cpp's types of tokens: user-defined ones are matched in a text before it is cut."""


NO_MERGE = "Ā Ā"
"""llama.cpp wants a list of merges; this one joins two NUL bytes, which no text holds."""


class Space(enum.Enum):
    """Where a SentencePiece tokenizer puts a space before a text."""

    NOWHERE = "nowhere"
    FIRST = "first"
    """Before the first word of a text, if no special token stands there."""
    EVERYWHERE = "everywhere"
    """Before a text, and after every special token."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Tokens by their ids, and how a text becomes tokens."""

    model: str
    """gpt2: merges by rank over bytes. llama: SentencePiece, by score over characters."""
    pre: str
    """What cuts a text before it is merged."""
    tokens: list[str]
    types: list[int]
    scores: list[float] | None = None
    merges: list[str] | None = None
    space: Space = Space.NOWHERE
    remarks: list[str] = dataclasses.field(default_factory=list)
    """What llama.cpp does otherwise than transformers."""

    def first(self, count: int) -> Vocabulary:
        """Return the same with its first tokens alone."""
        return dataclasses.replace(
            self,
            tokens=self.tokens[:count],
            types=self.types[:count],
            scores=self.scores and self.scores[:count],
        )
