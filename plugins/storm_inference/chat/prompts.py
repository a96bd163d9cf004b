"""Prompts of a chat as token ids."""

from __future__ import annotations

from storm_inference.chat.context import Context
from storm_inference.stop_tokens import answer_stops
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint


class Prompts:
    """Renders chats with the template of a checkpoint, and limits their length."""

    def __init__(
        self, model: Checkpoint, max_length: int | None = None, default: int | None = None
    ) -> None:
        """Read tokenizer and template; raises InputError if there is no template.

        `max_length`, or else `default`, limits the tokens of a prompt with its answer, besides the
        model's own limit.
        """
        self._chat = model.chat()
        self.tokenizer = model.tokenizer()
        self.stops = answer_stops(model)
        """Ids of the stop tokens."""
        self.context = Context.of(
            model.config().get("max_position_embeddings"), max_length, default
        )

    def of(self, chat: Conversation) -> list[int]:
        """Return the ids of a chat up to its next answer.

        Raises UnusableChat, NoRoom if there is no room for an answer.
        """
        (prompt,) = self._chat.prompts([chat])
        if isinstance(prompt, UnusableChat):
            raise prompt
        self.context.check(len(prompt))
        return prompt
