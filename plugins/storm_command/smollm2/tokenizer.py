"""SmolLM2's tokenizer, built from the metadata of its GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp import InputError

PRE_TOKENIZER = "smollm"
"""llama.cpp's name of the pre-tokenizer: single digits, then GPT-2's byte-level words."""
_CONTROL = 3
"""The type of a control token, which only a template may write."""


def write_tokenizer(metadata: dict[str, Any], directory: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, with the chat template beside them.

    Raises InputError if the tokenizer is of another type than SmolLM2's.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = {name.removeprefix("tokenizer.ggml."): value for name, value in metadata.items()}
    if (fields["model"], fields["pre"]) != ("gpt2", PRE_TOKENIZER):
        raise InputError(
            f"tokenizer {fields['model']}/{fields['pre']}, expected SmolLM2's gpt2/{PRE_TOKENIZER}"
        )
    tokens: list[str] = fields["tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, fields["token_type"], strict=True)
            if kind == _CONTROL
        ]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["bos_token_id"]],
        eos_token=tokens[fields["eos_token_id"]],
        unk_token=tokens[fields["unknown_token_id"]],
        pad_token=tokens[fields["padding_token_id"]],
        model_max_length=metadata["llama.context_length"],
        clean_up_tokenization_spaces=False,
        chat_template=metadata["tokenizer.chat_template"],
    ).save_pretrained(directory)
