"""A digest of what gives token ids their meaning, independent of how the files are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from storm_exp import InputError
from storm_models.folder.json_file import read_json

FOLDERS: dict[str, Path] = {}
"""Where this process met a tokenizer, by its digest: a plan knows models by their specs alone."""


class Tokens(NamedTuple):
    """What JSON and text files say of a tokenizer."""

    vocabulary: dict[str, int] | list[Any]
    """{token: id}, or of a unigram model [piece, score] in the order of their ids."""
    merges: list[str]
    """Pairs, their halves divided by a space."""
    added: dict[str, int]
    """{token that is matched before the model sees the text: id}"""

    def ids(self) -> dict[str, int]:
        """Return {token: id}."""
        if isinstance(self.vocabulary, dict):
            return {**self.vocabulary, **self.added}
        places = {piece: place for place, (piece, *_) in enumerate(self.vocabulary)}
        return {**places, **self.added}


def tokenizer_digest(directory: Path) -> str:
    """Return a digest of vocabulary, merges and added tokens.

    Saving a tokenizer again rewrites its files (merges as pairs instead of strings, padding
    settings), and that must not make two checkpoints look different: tokens and their ids are
    digested, not bytes. Raises InputError when there is no tokenizer, or none that can be read.
    """
    digest = _digest(directory)
    FOLDERS[digest] = directory
    return digest


def _digest(directory: Path) -> str:
    tokens = read_tokens(directory)
    if tokens is None:
        return hashlib.sha256((directory / "tokenizer.model").read_bytes()).hexdigest()
    if isinstance(tokens.vocabulary, dict):
        every: list[Any] = sorted({**tokens.vocabulary, **tokens.added}.items())
    else:
        every = [*tokens.vocabulary, *sorted(tokens.added.items())]
    return hashlib.sha256(json.dumps([every, tokens.merges]).encode()).hexdigest()


def read_tokens(directory: Path) -> Tokens | None:
    """Return the tokens of a folder's tokenizer, None for a sentencepiece model alone.

    Raises InputError when there is no tokenizer, and for files that hold something else.
    """
    if (file := directory / "tokenizer.json").is_file():
        content = read_json(file)
        model = content.get("model") or {}
        if not isinstance(model, dict):
            raise InputError(f"{file}: model is no object")
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
    odd = [token for token, place in content.items() if type(place) is not int]
    if odd:
        raise InputError(f"{file}: the id of {odd[0]!r} is no whole number")
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
        raise InputError(f"{file}: added_tokens is no list of tokens with content and id")
    return _ids({token["content"]: token.get("id") for token in content}, file)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise InputError(f"{file}: not UTF-8 ({error})") from error
