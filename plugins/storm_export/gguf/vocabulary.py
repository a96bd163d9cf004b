"""A tokenizer in llama.cpp's words: which of its kinds it is, tokens, their types and scores."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp import InputError
from storm_export.gguf.characters import characters, is_characters
from storm_export.gguf.pre_tokenizer import pre_tokenizer_name
from storm_export.gguf.sentencepiece import check_sentences, is_sentences, sentences
from storm_export.gguf.tokens import (
    CONTROL,
    NO_MERGE,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    Vocabulary,
)


def check_kind(content: dict[str, Any]) -> None:
    """Raise InputError, while planning, for a tokenizer.json of a kind that is not known."""
    if is_sentences(content):
        check_sentences(content)
    elif not is_characters(content):
        _check_bytes(content)


def vocabulary(content: dict[str, Any], rows: int, unknown: str | None) -> Vocabulary:
    """Return a tokenizer.json in llama.cpp's words; the embedding has `rows` of them.

    `unknown` is the token that stands for text that has none.

    Raises InputError, naming what it is, for a tokenizer that llama.cpp would not follow.
    """
    check_kind(content)
    if is_characters(content):
        found = characters(content)
    elif is_sentences(content):
        found = sentences(content, unknown)
    else:
        found = _bytes(content)
    if any(kind != CONTROL for kind in found.types[rows:]):
        raise InputError(f"the tokenizer has {len(found.tokens)} tokens, the embedding {rows} rows")
    found = found.first(rows)  # special tokens that no model can be shown: transformers adds them
    lacking = rows - len(found.tokens)
    tokens = [*found.tokens, *(f"[PAD{len(found.tokens) + at}]" for at in range(lacking))]
    scores = found.scores and [*found.scores, *[-1e4] * lacking]
    types = [*found.types, *[UNUSED] * lacking]
    return dataclasses.replace(found, tokens=tokens, types=types, scores=scores)


def _check_bytes(content: dict[str, Any]) -> None:
    model = content.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise InputError(
            f"tokenizer.json: a model of the type {model.get('type')!r} is none of those that can "
            "be written as GGUF (byte-level BPE, SentencePiece BPE, single characters)"
        )
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(name):
            raise InputError(f"tokenizer.json: {name}={model[name]!r}: llama.cpp has no such thing")
    pre_tokenizer_name(content)
    normalizer = content.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise InputError(
            f"tokenizer.json: the normalizer {normalizer.get('type')!r}: llama.cpp's byte-level "
            "BPE reads text as it stands"
        )


def _bytes(content: dict[str, Any]) -> Vocabulary:
    """Return a byte-level BPE's."""
    model = content["model"]
    added = {token["id"]: token for token in content.get("added_tokens") or []}
    names = {place: token for token, place in model["vocab"].items()}
    names |= {place: token["content"] for place, token in added.items()}
    size = max(names, default=-1) + 1
    tokens = [names.get(place, f"[PAD{place}]") for place in range(size)]
    types = [
        (CONTROL if added[place]["special"] else USER_DEFINED)
        if place in added
        else (NORMAL if place in names else UNUSED)
        for place in range(size)
    ]
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    remarks = []
    if content.get("normalizer") is not None:
        remarks.append("llama.cpp does not compose characters (NFC) before it encodes a text")
    return Vocabulary(
        model="gpt2",
        pre=pre_tokenizer_name(content),
        tokens=tokens,
        types=types,
        merges=merges or [NO_MERGE],
        remarks=remarks,
    )
