"""The component `chat_tokens`: chats as token ids, with a loss mask over the assistant's turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import Enum
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, StageContext, component, setting
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.data.token_set import CHATS, TokenSet, TokenSetSpec
from storm_training.data.token_spec import token_spec, tokens_cost


class Supervised(Enum):
    """Which tokens of a chat are supervised."""

    answers = "answers"
    """The assistant's turns."""
    all = "all"
    """Every token, those of questions and role headers included."""


@component("tokens", "chat_tokens", version=4)
class ChatTokenSet:
    """Renders chats with the model's template; every turn of the assistant is supervised.

    The token that ends a turn is supervised too. All training on the same data and tokenizer
    shares the result.
    """

    max_length: int | None = setting(None, at_least=1, unit="tokens")
    """Tokens of the longest chat that is kept; null: as many as the model has positions. Longer
    chats are left out and listed with the reason, never cut."""
    supervised: Supervised = setting(Supervised.answers, neutral=Supervised.answers)
    """answers (the assistant's turns), or all: every token of the chat, as Zephyr was tuned. With
    all, chats that have context-only turns (weight 0) are left out and listed."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> TokenSetSpec:
        """Return at most one example a row; raises InputError for data that cannot be tokenised."""
        return token_spec(CHATS, model, data, "messages")

    def cost(self, spec: TokenSetSpec) -> Cost:
        """Return the disk space that the tokens take."""
        return tokens_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> TokenSet:
        """Tokenise the train and validation splits."""
        from storm_models.chat.renderer import ChatTokens
        from storm_models.chat.stops import last_tokens
        from storm_training.data.tokenising import Encoded, tokenise

        renderer = model.chat()
        ends: Counter[int] = Counter()
        if not renderer.ends:
            stage.warn(
                "the chat template ends answers in plain text, without a special token: engines "
                "that serve the tuned model will not know where to stop"
            )

        def encode(rows: list[dict[str, Any]]) -> Iterator[Encoded]:
            conversations = [Conversation.of(row) for row in rows]
            for chat, tokens in zip(conversations, renderer.encode(conversations), strict=True):
                if not isinstance(tokens, ChatTokens):
                    yield str(tokens)
                    continue
                ends.update(last_tokens(tokens))
                if self.supervised is Supervised.answers:
                    yield [(tokens.ids, tokens.supervised)]
                elif not all(chat.supervised):
                    yield "has turns that are context only, and supervised=all"
                else:
                    yield [(tokens.ids, None)]

        longest = self.max_length or int(model.config().get("max_position_embeddings") or 0)
        return tokenise(stage, data, model, CHATS, encode, longest=longest, ends=ends)
