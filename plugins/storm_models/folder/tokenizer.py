"""A tokenizer's tokens and their digest, independent of how the files are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from storm_exp import InputError
from storm_models.folder.json_file import read_json

FOLDERS: dict[str, Path] = {}
"""The folder of each tokenizer digested in this process: a plan knows models by specs alone."""


class Tokens(NamedTuple):
    """A tokenizer's vocabulary, merges and added tokens, from its JSON and text files."""

    vocabulary: dict[str, int] | list[Any]
    """{token: id}, or [piece, score] in the order of their ids for a unigram model."""
    merges: list[str]
    """Pairs, separated by a space."""
    added: dict[str, int]
    """{token that is matched before the text is split: id}"""

    def ids(self) -> dict[str, int]:
        """Return {token: id}."""
        if isinstance(self.vocabulary, dict):
            return {**self.vocabulary, **self.added}
        ids = {piece: index for index, (piece, *_) in enumerate(self.vocabulary)}
        return {**ids, **self.added}


def tokenizer_digest(directory: Path) -> str:
    """Return a digest of vocabulary, merges and added tokens.

    Saving a tokenizer again rewrites its files (merges as pairs instead of strings, padding
    settings) without changing it, so tokens and ids are digested, not bytes. Raises InputError when
    there is no tokenizer or it cannot be read.
    """
    digest = _digest(directory)
    FOLDERS[digest] = directory
    return digest


def _digest(directory: Path) -> str:
    tokens = read_tokens(directory)
    if tokens is None:
        return hashlib.sha256((directory / "tokenizer.model").read_bytes()).hexdigest()
    return tokens_digest(tokens)


def tokens_digest(tokens: Tokens) -> str:
    """Return the digest of a tokenizer with these tokens."""
    if isinstance(tokens.vocabulary, dict):
        entries: list[Any] = sorted({**tokens.vocabulary, **tokens.added}.items())
    else:
        entries = [*tokens.vocabulary, *sorted(tokens.added.items())]
    return hashlib.sha256(json.dumps([entries, tokens.merges]).encode()).hexdigest()


def read_tokens(directory: Path) -> Tokens | None:
    """Return the tokens of a folder's tokenizer, None for a sentencepiece model alone.

    Raises InputError when there is no tokenizer, and for malformed files.
    """
    if (file := directory / "tokenizer.json").is_file():
        content = read_json(file)
        model = content.get("model") or {}
        if not isinstance(model, dict):
            raise InputError(f"{file}: model is not a JSON object")
        return Tokens(
            _vocabulary(model.get("vocab") or {}, file),
            _merges(model.get("merges") or [], file),
            _added(content.get("added_tokens") or [], file),
        )
    if (directory / "tokenizer.model").is_file():
        return None
    if (file := directory / "vocab.json").is_file():
        merges, extra = directory / "merges.txt", directory / "added_tokens.json"
        lines = _lines(merges) if merges.is_file() else []
        return Tokens(
            _ids(read_json(file), file),
            [line for line in lines if line and not line.startswith("#version")],
            _ids(read_json(extra), extra) if extra.is_file() else {},
        )
    raise InputError(f"{directory}: no tokenizer (tokenizer.json is missing)")


def _vocabulary(content: Any, file: Path) -> dict[str, int] | list[Any]:
    if isinstance(content, dict):
        return _ids(content, file)
    fits = isinstance(content, list) and all(
        isinstance(entry, list) and entry and isinstance(entry[0], str) for entry in content
    )
    if not fits:
        raise InputError(f"{file}: a vocabulary that is neither {{token: id}} nor [[piece, score]]")
    return list(content)


def _ids(content: Mapping[str, Any], file: Path) -> dict[str, int]:
    wrong = [token for token, token_id in content.items() if type(token_id) is not int]
    if wrong:
        raise InputError(f"{file}: the id of {wrong[0]!r} is not a whole number")
    return dict(content)


def _merges(content: Any, file: Path) -> list[str]:
    fits = isinstance(content, list) and all(
        isinstance(merge, str)
        or (isinstance(merge, list) and all(isinstance(half, str) for half in merge))
        for merge in content
    )
    if not fits:
        raise InputError(f"{file}: merges that are neither texts nor pairs of texts")
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in content]


def _added(content: Any, file: Path) -> dict[str, int]:
    fits = isinstance(content, list) and all(
        isinstance(token, dict) and isinstance(token.get("content"), str) for token in content
    )
    if not fits:
        raise InputError(f"{file}: added_tokens is not a list of tokens with content and id")
    return _ids({token["content"]: token.get("id") for token in content}, file)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise InputError(f"{file}: not UTF-8 ({error})") from error
