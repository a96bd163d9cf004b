"""The stop tokens of a model: those in its files, and those that it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.renderer import ChatTokens
from storm_models.folder.generation_config import (
    GENERATION_FILE,
    read_generation_config,
    special_ids,
    write_generation_config,
)
from storm_models.folder.json_file import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SELDOM = 0.01
"""Minimum share of answers that end in a stop token; rarer last tokens are truncations or stray."""


def read_stops(directory: Path) -> list[int]:
    """Return the ids of a checkpoint's stop tokens, from generation_config.json or config.json."""
    content = read_generation_config(directory) or {}
    stops = special_ids(content, GENERATION_FILE).get("eos_token_id", [])
    return stops or special_ids(_config(directory), "config.json").get("eos_token_id", [])


def add_stops(directory: Path, ids: Iterable[int]) -> list[int]:
    """Add `ids` to a checkpoint's stop tokens; return those that are new.

    They are written to generation_config.json, which transformers and vLLM read. The tokenizer's
    EOS stays: it separates documents, and templates write it. Without new ids no file is
    touched.
    """
    known = read_stops(directory)
    new = [token for token in dict.fromkeys(ids) if token not in known]
    if not new:
        return []
    content = read_generation_config(directory)
    if content is None:
        config = _config(directory)
        names = ("bos_token_id", "pad_token_id")
        content = {name: config[name] for name in names if config.get(name) is not None}
    write_generation_config(directory, {**content, "eos_token_id": [*known, *new]})
    return new


def last_tokens(tokens: ChatTokens) -> list[int]:
    """Return the last token of every run of supervised tokens."""
    supervised = [*tokens.supervised, False]
    return [
        token
        for index, token in enumerate(tokens.ids)
        if supervised[index] and not supervised[index + 1]
    ]


def learnt_stops(tokenizer: PreTrainedTokenizerBase, ends: Mapping[int, int]) -> dict[int, str]:
    """Return the control tokens, by id, that end the answers which a model is trained on.

    `ends` counts answers by their last token.
    """
    controls = {token: name for name, token in ControlTokens(tokenizer).tokens.items()}
    least = _SELDOM * sum(ends.values())
    return {
        token: controls[token]
        for token, count in sorted(ends.items())
        if token in controls and count >= least
    }


def _config(directory: Path) -> dict[str, Any]:
    file = directory / "config.json"
    return read_json(file) if file.is_file() else {}
