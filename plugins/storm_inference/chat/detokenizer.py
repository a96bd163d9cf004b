"""Incremental decoding of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""The replacement character, which decoding writes for incomplete characters."""


class Detokenizer:
    """Returns the text that each token adds, as soon as it consists of complete characters.

    The text of a token depends on the previous one (SentencePiece's spaces), so new tokens are
    decoded together with the ones before them; control tokens have no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Start with no tokens."""
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._before = self._shown = 0

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty while a character is incomplete."""
        self._ids.append(token)
        return self._new(final=False)

    def rest(self) -> str:
        """Return the text of incomplete characters at the end."""
        return self._new(final=True)

    def _new(self, *, final: bool) -> str:
        known = self._decode(self._ids[self._before : self._shown])
        text = self._decode(self._ids[self._before :])
        if not final and (text.endswith(_BROKEN) or len(text) <= len(known)):
            return ""
        self._before, self._shown = self._shown, len(self._ids)
        return text[len(known) :]

    def _decode(self, ids: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
