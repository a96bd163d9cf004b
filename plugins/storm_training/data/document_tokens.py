"""The component `document_tokens`: plain text as token ids, for pretraining."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_training.data.token_set import DOCUMENTS, TokenSet, TokenSetSpec
from storm_training.data.token_spec import token_spec, tokens_cost

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@component("tokens", "document_tokens", version=1)
class DocumentTokenSet:
    """Tokenises whole documents, with a BOS before, an EOS after, and every token supervised.

    Training cuts a document that is longer than a row into chunks, without losing a token.
    """

    special_tokens: bool = False
    """Whether special tokens spelled out in a text are encoded as such. If false, a text cannot end
    a document or open a turn by containing the token's name."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> TokenSetSpec:
        """Return at most one example a row; raises InputError for data that cannot be tokenised."""
        return token_spec(DOCUMENTS, model, data, "text", template=False)

    def cost(self, spec: TokenSetSpec) -> Cost:
        """Return the disk space that the tokens take."""
        return tokens_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> TokenSet:
        """Tokenise the train and validation splits."""
        from storm_training.data.tokenising import Encoded, tokenise

        tokenizer = model.tokenizer()
        before, after = boundaries(tokenizer)

        def encode(rows: list[dict[str, Any]]) -> Iterator[Encoded]:
            texts = [row["text"] for row in rows]
            batch = tokenizer(
                texts,
                add_special_tokens=False,
                split_special_tokens=not self.special_tokens,
                verbose=False,
            )
            for input_ids in batch["input_ids"]:
                yield [(before + input_ids + after, None)]

        return tokenise(stage, data, model, DOCUMENTS, encode)


def boundaries(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the ids before and after a document: BOS and EOS, where the tokenizer has them.

    EOS is supervised even where it is also the padding token: the model must learn it.
    """
    before = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    after = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return before, after
