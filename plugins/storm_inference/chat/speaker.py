"""The interface of models that answer in a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from storm_inference.chat.sampling import SamplingParameters
from storm_models.chat.conversation import Conversation


class Speaker(Protocol):
    """A model that answers conversations; the caller closes it."""

    about: str
    """Engine, dtype and device or address, in a few words."""

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if the template refuses a chat or leaves out a part of it.

        Also if its contents hold a control token, which only a template may write.
        """
        ...

    def answer(
        self, chat: Conversation, sampling: SamplingParameters, write: Callable[[str], None]
    ) -> bool:
        """Write the next answer, piece by piece; return whether it ended with a stop token.

        Raises UnusableChat before anything is written, and InputError if a server failed.
        """
        ...

    def close(self) -> None:
        """Release the model, or end its server."""
        ...
