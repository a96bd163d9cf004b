"""The tokens of a merge: those of one model's tokenizer, and what is added to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import InputError
from storm_merging.vocabulary.settings import UNION, VocabularySettings
from storm_models.folder.json_file import read_json
from storm_models.folder.tokenizer import Tokens, read_tokens

FILE = "tokenizer.json"
_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}


@dataclasses.dataclass(frozen=True)
class TokenizerTokens:
    """The tokens of one model."""

    directory: Path
    tokens: Tokens
    ids: dict[str, int]
    """{token: id}"""
    added: dict[str, dict[str, Any]]
    """{token that is matched before the text is split: its entry in tokenizer.json}"""


@dataclasses.dataclass(frozen=True)
class MergedVocabulary:
    """The tokens of a merge."""

    keeper: int
    """The place of the model whose tokenizer is kept, with tokens added."""
    tokens: Tokens
    ids: dict[str, int]
    """{token: id}"""
    entries: tuple[dict[str, Any], ...]
    """Tokens that are added to the keeper's, as entries of its tokenizer.json."""
    size: int
    """Rows of tokens."""
    rows: int
    """Rows, with padding."""


def read_tokenizer_tokens(directory: Path) -> TokenizerTokens:
    """Return a model's tokens; raises InputError where its files do not list them."""
    tokens = read_tokens(directory)
    if tokens is None:
        raise InputError(
            f"{directory}: a sentencepiece model alone does not list its tokens here; save the "
            f"tokenizer with a {FILE}"
        )
    content = read_json(directory / FILE) if (directory / FILE).is_file() else {}
    added = {entry["content"]: entry for entry in content.get("added_tokens") or []}
    plain = {token: _entry(token, place) for token, place in tokens.added.items()}
    return TokenizerTokens(directory, tokens, tokens.ids(), {**plain, **added})


def merged_vocabulary(
    settings: VocabularySettings, tokenizers: Sequence[TokenizerTokens], keeper: int
) -> MergedVocabulary:
    """Return the tokens of a merge; raises InputError for tokens that cannot be added.

    Those of other models come in their models' order and by their ids: plain tokens, then those
    that are matched before the text is split. All are added as such, since merges of two byte-pair
    encodings cannot be joined.
    """
    kept = tokenizers[keeper]
    order = [kept, *(each for i, each in enumerate(tokenizers) if i != keeper)]
    entries = _new_entries(order if settings.source == UNION else [kept], list(settings.tokens))
    if entries and not (kept.directory / FILE).is_file():
        raise InputError(f"{kept.directory}: no {FILE}, to which tokens could be added")
    added = {entry["content"]: entry["id"] for entry in entries}
    ids = {**kept.ids, **added}
    size = 1 + max(ids.values())
    multiple = settings.pad_to_multiple_of
    return MergedVocabulary(
        keeper=keeper,
        tokens=kept.tokens._replace(added={**kept.tokens.added, **added}),
        ids=ids,
        entries=tuple(entries),
        size=size,
        rows=-(-size // multiple) * multiple,
    )


def _new_entries(
    tokenizers: Sequence[TokenizerTokens], further: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the first tokenizer lacks of the others' tokens, and of `further` ones."""
    first = tokenizers[0]
    special = {token: entry for each in reversed(tokenizers) for token, entry in each.added.items()}
    ordered = [sorted(each.ids, key=each.ids.__getitem__) for each in tokenizers]
    plain = [token for each in ordered for token in each if token not in special]
    matched = [
        token
        for each, tokens in zip(tokenizers, ordered, strict=True)
        for token in tokens
        if token in each.added
    ]
    place = 1 + max(first.ids.values())
    entries: dict[str, dict[str, Any]] = {}
    for token in dict.fromkeys([*plain, *matched, *further]):
        # A token that is plain in the first tokenizer becomes one that is matched before.
        if token in first.added or (token in first.ids and token not in special):
            continue
        if token in first.ids:
            entries[token] = {**special[token], "id": first.ids[token]}
            continue
        entries[token] = {**special.get(token, _entry(token, place)), "id": place}
        place += 1
    return list(entries.values())


def _entry(token: str, place: int) -> dict[str, Any]:
    return {"id": place, "content": token, **_PLAIN, "special": False}
