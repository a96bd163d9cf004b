"""Decoding of a stream of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_INCOMPLETE = "\ufffd"
"""The decoder's replacement for bytes that are not a character."""


class Detokenizer:
    """Decodes tokens one by one; characters appear once complete.

    The text of a token depends on the previous one (SentencePiece's spaces), so new tokens are
    decoded together with those before them.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, controls: bool = False) -> None:
        """Start without tokens; `controls` spells control tokens, which are left out otherwise."""
        self._tokenizer, self._controls = tokenizer, controls
        self._ids: list[int] = []
        self._context_start = self._decoded = 0

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty if it ends within a character."""
        self._ids.append(token)
        return self._new_text(final=False)

    def rest(self) -> str:
        """Return the text of an incomplete character at the end."""
        return self._new_text(final=True)

    def _new_text(self, *, final: bool) -> str:
        known = self._decode(self._ids[self._context_start : self._decoded])
        text = self._decode(self._ids[self._context_start :])
        if not final and (text.endswith(_INCOMPLETE) or len(text) <= len(known)):
            return ""
        self._context_start, self._decoded = self._decoded, len(self._ids)
        return text[len(known) :]

    def _decode(self, ids: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=not self._controls, clean_up_tokenization_spaces=False
            )
        )


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> list[str]:
    """Return the text of every token, control tokens included; together they are the whole text.

    A character of several tokens is the text of its last one.
    """
    detokenizer = Detokenizer(tokenizer, controls=True)
    texts = [detokenizer.add(int(token)) for token in ids]
    if texts:
        texts[-1] += detokenizer.rest()
    return texts
