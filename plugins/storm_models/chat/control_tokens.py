"""Control tokens, which only a template may write, and texts that contain them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from storm_models.chat.template import UnusableChat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTROL_TOKEN = "its contents hold the control token {}"
"""The reason why a chat with a control token in its contents is unusable."""

_RARE = "⟦⟧\ue000"
_SHIELD = "\ue000"
"""A character of the private use area."""


class ControlTokens:
    """The special tokens of a tokenizer, which open and end turns; no content may hold one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Collect a tokenizer's special and added tokens."""
        added = {t.content: i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
        named = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
        self.tokens: dict[str, int] = {**added, **dict(named)}
        """Ids by token."""
        self.ids = set(self.tokens.values())
        """The ids of these tokens, without those that stand for unknown characters."""
        self.ids -= set(tokenizer(_RARE, add_special_tokens=False)["input_ids"])
        names = [re.escape(token) for token in sorted(self.tokens, key=len, reverse=True) if token]
        self._pattern = re.compile("|".join(names) or r"(?!)")
        shielded = [re.escape(_shield(t)) for t in sorted(self.tokens, key=len, reverse=True) if t]
        self._shields = re.compile(f"({'|'.join(shielded)})" if shielded else r"((?!))")

    def within(self, content: Any) -> str:
        """Return the first control token in a text, list or dict; '' if there is none."""
        matches = (self._pattern.search(text) for text in strings(content))
        return next((match.group() for match in matches if match), "")

    def check(self, content: Any) -> None:
        """Raise UnusableChat if a content contains a control token."""
        if token := self.within(content):
            raise UnusableChat(CONTROL_TOKEN.format(token))

    def count(self, ids: list[int]) -> int:
        """Return how many of the ids are control tokens."""
        return sum(map(self.ids.__contains__, ids))

    def shield(self, text: str) -> str:
        """Return a text whose control tokens are split, so that a tokenizer reads them as text."""
        return self._pattern.sub(lambda match: _shield(match.group()), text)

    def unshield(self, text: str) -> list[str]:
        """Split a shielded text at its shielded tokens, which are every second entry, restored."""
        pieces = self._shields.split(text)
        pieces[1::2] = [piece.replace(_SHIELD, "", 1) for piece in pieces[1::2]]
        return pieces


def strings(value: Any) -> Iterator[str]:
    """Yield every text in nested lists and dicts, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from strings(name)
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def _shield(token: str) -> str:
    return token[:1] + _SHIELD + token[1:]
