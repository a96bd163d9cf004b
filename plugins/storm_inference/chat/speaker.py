"""The interface of what answers in a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from storm_inference.chat.drawing import Drawing
from storm_models.chat.conversation import Conversation


class Speaker(Protocol):
    """Answers conversations with one model; to be closed."""

    about: str
    """What answers, in a few words."""

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat where the template cannot render a chat, or leaves something out.

        So it does where a control token stands in its contents: only a template may write one.
        """
        ...

    def answer(self, chat: Conversation, drawing: Drawing, write: Callable[[str], None]) -> bool:
        """Write the next answer, piece by piece; return whether it ended by itself.

        Raises UnusableChat before anything is written, InputError where a server failed.
        """
        ...

    def close(self) -> None:
        """End what was started."""
        ...
