"""Prompts of a chat as token ids."""

from __future__ import annotations

from storm_inference.stop_tokens import answer_stops
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint


class Prompts:
    """Renders chats with the template of a checkpoint, and limits their length."""

    def __init__(self, model: Checkpoint, max_length: int | None = None) -> None:
        """Read tokenizer and template; raises InputError if there is no template.

        `max_length` limits the tokens of a prompt with its answer, besides the model's own limit.
        """
        self._chat = model.chat()
        self.tokenizer = model.tokenizer()
        self.stops = answer_stops(model)
        """Ids of the stop tokens."""
        limits = (max_length, model.config().get("max_position_embeddings"))
        self.max_length = min((limit for limit in limits if limit), default=None)

    def of(self, chat: Conversation) -> list[int]:
        """Return the ids of a chat up to its next answer.

        Raises UnusableChat, also if there is no room for an answer.
        """
        (prompt,) = self._chat.prompts([chat])
        if isinstance(prompt, UnusableChat):
            raise prompt
        if self.room(prompt, 1) < 1:
            problem = f"{len(prompt)} tokens leave no room for an answer in {self.max_length}"
            raise UnusableChat(problem)
        return prompt

    def room(self, prompt: list[int], max_new_tokens: int) -> int:
        """Return the maximum length of an answer to a prompt."""
        if self.max_length is None:
            return max_new_tokens
        return min(max_new_tokens, self.max_length - len(prompt))
