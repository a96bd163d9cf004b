"""The rows of a data set as training data, and what was left out."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from storm_data.dataset import Dataset
from storm_training.chat_tokens import ChatTokenizer, ChatTokens, UnusableChat
from storm_training.token_sequences import TokenSequences

_AT_ONCE = 512


@dataclasses.dataclass
class ChatRows:
    """Tokenised rows of one split."""

    sequences: TokenSequences
    used: int
    dropped: dict[str, int]
    """Rows that were left out, counted by reason."""


def read_chat_rows(
    data: Dataset, split: str, tokenizer: ChatTokenizer, longest: int, limit: int | None = None
) -> ChatRows:
    """Tokenise the first `limit` rows of a split.

    Rows of more than `longest` tokens, rows without a supervised token that could be predicted,
    and rows that the template refuses are dropped and counted, never cut.
    """
    dropped: collections.Counter[str] = collections.Counter()

    def examples() -> Iterator[tuple[list[int], list[bool]]]:
        rows: Iterator[dict[str, Any]] = itertools.islice(data.rows(split), limit)
        while chunk := list(itertools.islice(rows, _AT_ONCE)):
            for tokens in tokenizer.encode([row["messages"] for row in chunk]):
                reason = _unusable(tokens, longest)
                if reason:
                    dropped[reason] += 1
                elif isinstance(tokens, ChatTokens):
                    yield tokens.ids, tokens.supervised

    sequences = TokenSequences.collect(examples())
    return ChatRows(sequences, len(sequences), dict(sorted(dropped.items())))


def _unusable(tokens: ChatTokens | UnusableChat, longest: int) -> str:
    if isinstance(tokens, UnusableChat):
        return str(tokens)
    if not any(tokens.supervised[1:]):
        return "nothing supervised"
    if len(tokens.ids) > longest:
        return f"longer than {longest} tokens"
    return ""
