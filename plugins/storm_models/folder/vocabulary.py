"""Checks that the ids of a tokenizer have rows in the model's embedding."""

from __future__ import annotations

from pathlib import Path

from storm_exp import InputError
from storm_models.families.model_config import ModelConfig
from storm_models.folder.generation_config import (
    GENERATION_FILE,
    read_generation_config,
    special_ids,
)
from storm_models.folder.json_file import read_json
from storm_models.folder.tokenizer import read_tokens

_NO_PADDING = -1
"""The pad_token_id of early configs without a padding token."""


def check_vocabulary(directory: Path, config: ModelConfig) -> None:
    """Raise InputError for tokens, or ids of special tokens, outside the model's vocabulary.

    This happens when tokens are added to a tokenizer and the embedding is not resized: the first
    text that holds one ends in an IndexError, or on a GPU in an assertion.
    """
    size = config.get("vocab_size")
    if size is None:
        return
    beyond = {token: i for token, i in _token_ids(directory).items() if not 0 <= i < size}
    if beyond:
        first = sorted(beyond, key=lambda token: (beyond[token], token))[:3]
        named = ", ".join(f"{token!r} ({beyond[token]})" for token in first)
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
        raise InputError(
            f"{directory}: the tokenizer has tokens beyond the embedding of {size} rows "
            f"(vocab_size): {named}{more}; resize the embedding (resize_token_embeddings) or leave "
            "them out of the tokenizer"
        )
    for file, content in (
        ("config.json", config),
        (GENERATION_FILE, read_generation_config(directory) or {}),
    ):
        for name, ids in special_ids(content, f"{directory}/{file}").items():
            allowed = {_NO_PADDING} if name == "pad_token_id" else set()
            wrong = [i for i in ids if not 0 <= i < size and i not in allowed]
            if wrong:
                raise InputError(
                    f"{directory}/{file}: {name}={wrong[0]} is not in the vocabulary of {size} "
                    "tokens"
                )


def _token_ids(directory: Path) -> dict[str, int]:
    """Return {token: id}, as far as files other than a sentencepiece model hold it."""
    tokens = read_tokens(directory)
    extra = directory / "added_tokens.json"
    added = read_json(extra) if tokens is None and extra.is_file() else {}
    wrong = [token for token, token_id in added.items() if type(token_id) is not int]
    if wrong:
        raise InputError(f"{extra}: the id of {wrong[0]!r} is not a whole number")
    return tokens.ids() if tokens else added
