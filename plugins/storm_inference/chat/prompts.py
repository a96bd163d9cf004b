"""Prompts of a chat as token ids, rendered by the model's own template."""

from __future__ import annotations

from storm_inference.stop_tokens import answer_stops
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint


class Prompts:
    """Renders chats for a checkpoint, and says how long they may be."""

    def __init__(self, model: Checkpoint, max_length: int | None = None) -> None:
        """Read tokenizer and template; raises InputError without a template.

        `max_length` is the most that a prompt and its answer have together, in tokens; None: what
        the model's config allows.
        """
        self._chat = model.chat()
        self.tokenizer = model.tokenizer()
        self.stops = answer_stops(model)
        """The tokens at which answers end."""
        limits = (max_length, model.config().get("max_position_embeddings"))
        self.max_length = min((limit for limit in limits if limit), default=None)

    def of(self, chat: Conversation) -> list[int]:
        """Return a chat's ids, up to where the next answer begins; raises UnusableChat."""
        (prompt,) = self._chat.prompts([chat])
        if isinstance(prompt, UnusableChat):
            raise prompt
        if self.room(prompt, 1) < 1:
            problem = f"{len(prompt)} tokens leave no room for an answer in {self.max_length}"
            raise UnusableChat(problem)
        return prompt

    def room(self, prompt: list[int], wanted: int) -> int:
        """Return how many tokens an answer may have: those wanted, or what is left."""
        return min(wanted, self.max_length - len(prompt)) if self.max_length else wanted
