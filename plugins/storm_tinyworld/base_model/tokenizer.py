"""A character-level tokenizer in Hugging Face layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_tinyworld.base_model.vocabulary import (
    BOS,
    CHARACTERS,
    CHAT_TEMPLATE,
    END_OF_TURN,
    PAD,
    PHRASES,
    SPECIAL_TOKENS,
    UNKNOWN,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def vocabulary() -> dict[str, int]:
    """Return the id of each token: special tokens first, then phrases, then characters."""
    return {token: index for index, token in enumerate((*SPECIAL_TOKENS, *PHRASES, *CHARACTERS))}


def build_tokenizer(max_length: int = 512) -> PreTrainedTokenizerFast:
    """Return the tokenizer of the miniature world.

    It adds no BOS when encoding: the chat template writes exactly one.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary(), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in PHRASES])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END_OF_TURN,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
