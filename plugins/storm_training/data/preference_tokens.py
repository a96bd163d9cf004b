"""The component `preference_tokens`: pairs of a chosen and a rejected answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.data.token_set import PREFERENCES, TokenSet, TokenSetSpec
from storm_training.data.token_spec import token_spec, tokens_cost


@component("tokens", "preference_tokens", version=4)
class PreferenceTokenSet:
    """Renders `prompt` + `chosen` and `prompt` + `rejected` with the model's chat template.

    Only the answers are supervised, with the token that ends each turn.
    """

    max_length: int | None = setting(None, at_least=1, unit="tokens")
    """Tokens of the longest answer with its prompt; null: as many as the model has positions.
    Longer pairs are left out and listed, unless `max_prompt_length` says how to cut them."""
    max_prompt_length: int | None = setting(None, neutral=None, at_least=1, unit="tokens")
    """Cut pairs longer than `max_length`: the prompt to its last so many tokens and, if that is not
    enough, the answers to the rest of `max_length`; null: such pairs are left out."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if self.max_prompt_length and self.max_prompt_length >= (self.max_length or 0):
            problem = f"must be below max_length ({self.max_length}), which leaves room for answers"
            raise SettingError("max_prompt_length", self.max_prompt_length, problem)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> TokenSetSpec:
        """Return at most one pair a row; raises InputError for data that cannot be tokenised."""
        return token_spec(PREFERENCES, model, data, "chosen")

    def cost(self, spec: TokenSetSpec) -> Cost:
        """Return the disk space that the tokens take."""
        return tokens_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> TokenSet:
        """Tokenise the train and validation splits."""
        from storm_models.chat.renderer import ChatTokens
        from storm_models.chat.stops import last_tokens
        from storm_training.data.pair_cutting import cut_pair
        from storm_training.data.tokenising import Encoded, tokenise

        renderer = model.chat()
        ends: Counter[int] = Counter()

        def encode(rows: list[dict[str, Any]]) -> Iterator[Encoded]:
            chats, prompt_lengths = [], []
            for row in rows:
                prompt = Conversation.of(row, "prompt")
                for side in ("chosen", "rejected"):
                    chats.append(prompt + Conversation.of(row, side))
                    prompt_lengths.append(len(prompt.messages))
            encoded = renderer.encode(chats, prompt_lengths)
            for chosen, rejected in zip(encoded[::2], encoded[1::2], strict=True):
                if not isinstance(chosen, ChatTokens) or not isinstance(rejected, ChatTokens):
                    yield str(rejected if isinstance(chosen, ChatTokens) else chosen)
                elif chosen.ids == rejected.ids:
                    yield "chosen and rejected are the same"
                else:
                    pair = [chosen, rejected]
                    ends.update(last_tokens(chosen))
                    if self.max_length and self.max_prompt_length:
                        pair = cut_pair((chosen, rejected), self.max_length, self.max_prompt_length)
                    yield [(side.ids, side.supervised) for side in pair]

        longest = self.max_length or int(model.config().get("max_position_embeddings") or 0)
        return tokenise(
            stage,
            data,
            model,
            PREFERENCES,
            encode,
            longest=longest,
            sequences_per_example=2,
            ends=ends,
        )
