"""The number of tokens that a chat may have, and chats that are longer."""

from __future__ import annotations

import dataclasses
from typing import Self

from storm_models.chat.template import UnusableChat


class NoRoom(UnusableChat):
    """A prompt that leaves no room for an answer."""


@dataclasses.dataclass(frozen=True)
class Context:
    """The limit of a prompt with its answer."""

    tokens: int | None
    """None: no limit."""
    source: str = ""
    """Where the limit comes from."""
    remedy: str = ""
    """How a longer chat is made possible."""

    @classmethod
    def of(
        cls,
        own: int | None,
        stated: int | None,
        default: int | None = None,
        where: str = "max_position_embeddings in its config.json",
    ) -> Self:
        """Return the least of the model's `own` limit and `--max-length` or its default.

        `where` tells where the model states its limit.
        """
        asked = stated or default
        if own and (asked is None or own <= asked):
            return cls(
                own,
                f"the model's context ({where})",
                "a longer chat needs a model with a longer context",
            )
        source = "--max-length" if stated else "the default of --max-length with a server"
        remedy = f"--max-length may be up to {own}" if own else "raise --max-length"
        return cls(asked, source, remedy)

    def check(self, length: int) -> None:
        """Raise NoRoom if a prompt of `length` tokens leaves no room for an answer."""
        if self.tokens is not None and length >= self.tokens:
            raise NoRoom(
                f"{length} tokens leave no room for an answer in {self.tokens}, {self.source}: "
                "shorten the message, the system prompt or the list of tools, or start a new chat; "
                f"{self.remedy}"
            )

    def room(self, length: int, max_new_tokens: int) -> int:
        """Return the maximum length of an answer to a prompt of `length` tokens."""
        return max_new_tokens if self.tokens is None else min(max_new_tokens, self.tokens - length)
