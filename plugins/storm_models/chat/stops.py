"""What a model stops at: where engines look for it, and what it was taught."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from storm_models.chat.contents import ControlTokens
from storm_models.checkpoint import Checkpoint
from storm_models.json_file import read_json

GENERATION_CONFIG = "generation_config.json"
_SELDOM = 0.01
"""Share of answers below which an ending is none: cut answers, a stray token."""


def read_stops(directory: Path) -> list[int]:
    """Return the ids at which a checkpoint stops, from generation_config.json or config.json."""
    for name in (GENERATION_CONFIG, "config.json"):
        if (directory / name).is_file():
            found = read_json(directory / name).get("eos_token_id")
            ids = found if isinstance(found, list) else [found]
            if stops := [token for token in ids if isinstance(token, int)]:
                return stops
    return []


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
    file = directory / GENERATION_CONFIG
    content: dict[str, Any] = {}
    if file.is_file():
        content = read_json(file)
    elif (directory / "config.json").is_file():
        config = read_json(directory / "config.json")
        names = ("bos_token_id", "pad_token_id")
        content = {name: config[name] for name in names if config.get(name) is not None}
    content["eos_token_id"] = [*known, *new]
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return new


def learnt_stops(model: Checkpoint, ends: Mapping[int, int]) -> dict[int, str]:
    """Return the control tokens, by id, that end answers which a model is taught.

    `ends` counts the last tokens of supervised stretches.
    """
    controls = {token: name for name, token in ControlTokens(model.tokenizer()).tokens.items()}
    often = _SELDOM * sum(ends.values())
    return {
        token: controls[token]
        for token, count in sorted(ends.items())
        if token in controls and count >= often
    }
