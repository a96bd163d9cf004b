"""A digest of what gives token ids their meaning, independent of how the files are written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from storm_exp import InputError


def tokenizer_digest(directory: Path) -> str:
    """Return a digest of vocabulary, merges and added tokens.

    Saving a tokenizer again rewrites its files (merges as pairs instead of strings, padding
    settings), and that must not make two checkpoints look different: tokens and their ids are
    digested, not bytes. Raises InputError when there is no tokenizer.
    """
    if (directory / "tokenizer.json").is_file():
        content = _read_object(directory / "tokenizer.json")
        model = content.get("model") or {}
        added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
        return _digest(model.get("vocab") or {}, model.get("merges") or [], added)
    if (directory / "tokenizer.model").is_file():
        return hashlib.sha256((directory / "tokenizer.model").read_bytes()).hexdigest()
    if (directory / "vocab.json").is_file():
        merges = directory / "merges.txt"
        lines = merges.read_text(encoding="utf-8").splitlines() if merges.is_file() else []
        extra = directory / "added_tokens.json"
        return _digest(
            _read_object(directory / "vocab.json"),
            [line for line in lines if line and not line.startswith("#version")],
            _read_object(extra) if extra.is_file() else {},
        )
    raise InputError(f"{directory}: no tokenizer (tokenizer.json is missing)")


def _digest(vocabulary: Any, merges: list[Any], added: dict[str, int]) -> str:
    if isinstance(vocabulary, dict):
        tokens: list[Any] = sorted({**vocabulary, **added}.items())
    else:  # a unigram model: (piece, score) in the order of their ids
        tokens = [*vocabulary, *sorted(added.items())]
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    return hashlib.sha256(json.dumps([tokens, pairs]).encode()).hexdigest()


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object")
    return content
