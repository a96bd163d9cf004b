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
    """Renders `prompt` + `chosen` and `prompt` + `rejected` with the model's own template.

    Only what follows the prompt is supervised, the token that ends each turn included.
    """

    max_length: int | None = setting(None, at_least=1, unit="tokens")
    """Tokens of the longest answer with its prompt; null: as many as the model has positions. Pairs
    with a longer one are left out and named, unless `max_prompt_length` says how to cut them."""
    max_prompt_length: int | None = setting(None, neutral=None, at_least=1, unit="tokens")
    """How pairs longer than `max_length` are cut: the prompt to its last so many tokens, and if
    that is not enough, the answers to what then is left for them; null: they are left out."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if self.max_prompt_length and self.max_prompt_length >= (self.max_length or 0):
            problem = f"must be below max_length ({self.max_length}), which leaves room for answers"
            raise SettingError("max_prompt_length", self.max_prompt_length, problem)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> TokenSetSpec:
        """Forecast at most a pair a row; raises InputError for what cannot be tokenised."""
        return token_spec(PREFERENCES, model, data, "chosen")

    def cost(self, spec: TokenSetSpec) -> Cost:
        """Estimate the room that the tokens take."""
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
            chats, firsts = [], []
            for row in rows:
                prompt = Conversation.of(row, "prompt")
                for side in ("chosen", "rejected"):
                    chats.append(prompt + Conversation.of(row, side))
                    firsts.append(len(prompt.messages))
            found = renderer.encode(chats, firsts)
            for chosen, rejected in zip(found[::2], found[1::2], strict=True):
                if not isinstance(chosen, ChatTokens) or not isinstance(rejected, ChatTokens):
                    yield str(rejected if isinstance(chosen, ChatTokens) else chosen)
                elif chosen.ids == rejected.ids:
                    yield "chosen and rejected are the same"
                else:
                    pair = [chosen, rejected]
                    ends.update(last_tokens(chosen))
                    if self.max_length and self.max_prompt_length:
                        pair = cut_pair((chosen, rejected), self.max_length, self.max_prompt_length)
                    yield [(c.ids, c.supervised) for c in pair]

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
