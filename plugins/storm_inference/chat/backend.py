"""The interface of engines in a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from storm_inference.chat.sampling import SamplingOptions
from storm_models.chat.conversation import Conversation


class ChatBackend(Protocol):
    """A model in an engine; the caller closes it."""

    about: str
    """A short description."""

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if a chat cannot be rendered completely.

        A control token in its contents makes it unusable: only the template may write one. NoRoom
        if the prompt leaves no room for an answer.
        """
        ...

    def answer(
        self, chat: Conversation, sampling: SamplingOptions, write: Callable[[str], None]
    ) -> bool:
        """Write the next answer piece by piece; return whether it ended with a stop token.

        Raises UnusableChat before anything is written, InputError if a server fails.
        """
        ...

    def close(self) -> None:
        """Release the model, or end the server."""
        ...
