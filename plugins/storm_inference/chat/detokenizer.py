"""Text of tokens that arrive one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""What stands for bytes that are no character yet."""


class Detokenizer:
    """Returns the text that every token adds, as soon as it is whole characters.

    A token's text depends on the one before it (SentencePiece's spaces), so the newest tokens are
    decoded together with those that came before; control tokens have no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Start with no tokens."""
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._before = self._shown = 0

    def add(self, token: int) -> str:
        """Return the text that a token adds; empty where characters are not finished."""
        self._ids.append(token)
        return self._new(final=False)

    def rest(self) -> str:
        """Return what unfinished characters at the end decode to."""
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
