"""SmolLM2's tokenizer, from what a GGUF file says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp import InputError

PRE_TOKENIZER = "smollm"
"""llama.cpp's name for what splits texts: single digits, then GPT-2's words of bytes."""
_CONTROL = 3
"""The type of a token that only a template may write."""


def write_tokenizer(metadata: dict[str, Any], directory: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, with the chat template beside them.

    Raises InputError for another kind of tokenizer than SmolLM2's.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    said = {name.removeprefix("tokenizer.ggml."): value for name, value in metadata.items()}
    if (said["model"], said["pre"]) != ("gpt2", PRE_TOKENIZER):
        raise InputError(f"a tokenizer of the kind {said['model']}/{said['pre']}, not SmolLM2's")
    tokens: list[str] = said["tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["merges"]]
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
            for token, kind in zip(tokens, said["token_type"], strict=True)
            if kind == _CONTROL
        ]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[said["bos_token_id"]],
        eos_token=tokens[said["eos_token_id"]],
        unk_token=tokens[said["unknown_token_id"]],
        pad_token=tokens[said["padding_token_id"]],
        model_max_length=metadata["llama.context_length"],
        clean_up_tokenization_spaces=False,
        chat_template=metadata["tokenizer.chat_template"],
    ).save_pretrained(directory)
