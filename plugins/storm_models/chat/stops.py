"""What a model stops at: where engines look for it, and what it was taught."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_models.chat.contents import ControlTokens
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
"""Share of answers below which an ending is none: cut answers, a stray token."""


def read_stops(directory: Path) -> list[int]:
    """Return the ids at which a checkpoint stops, from generation_config.json or config.json."""
    said = read_generation_config(directory) or {}
    stops = special_ids(said, GENERATION_FILE).get("eos_token_id", [])
    return stops or special_ids(_config(directory), "config.json").get("eos_token_id", [])


def add_stops(directory: Path, ids: Iterable[int]) -> list[int]:
    """Let a checkpoint stop at `ids` as well; return those at which it did not.

    They are written to generation_config.json, which transformers and vLLM read. The tokenizer's
    EOS stays: it separates documents, and templates write it. Where nothing is new, no file is
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
    """Return the token that ends each stretch of what an assistant said."""
    marks = [*tokens.supervised, False]
    return [
        token for place, token in enumerate(tokens.ids) if marks[place] and not marks[place + 1]
    ]


def learnt_stops(tokenizer: PreTrainedTokenizerBase, ends: Mapping[int, int]) -> dict[int, str]:
    """Return the control tokens, by id, that end answers which a model is taught.

    `ends` counts the last tokens of answers.
    """
    controls = {token: name for name, token in ControlTokens(tokenizer).tokens.items()}
    often = _SELDOM * sum(ends.values())
    return {
        token: controls[token]
        for token, count in sorted(ends.items())
        if token in controls and count >= often
    }


def _config(directory: Path) -> dict[str, Any]:
    file = directory / "config.json"
    return read_json(file) if file.is_file() else {}
