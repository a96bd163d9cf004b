"""Conversion of tokenizer.json to llama.cpp's vocabulary: algorithm, tokens, types, scores."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp import InputError
from storm_export.gguf.characters import characters, is_characters
from storm_export.gguf.pre_tokenizer import pre_tokenizer_name
from storm_export.gguf.sentencepiece import (
    check_sentencepiece,
    is_sentencepiece,
    sentencepiece_vocabulary,
)
from storm_export.gguf.tokens import (
    CONTROL,
    NO_MERGE,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    Vocabulary,
)


def check_kind(content: dict[str, Any]) -> None:
    """Raise InputError, while planning, for an unsupported kind of tokenizer."""
    if is_sentencepiece(content):
        check_sentencepiece(content)
    elif not is_characters(content):
        _check_bytes(content)


def vocabulary(content: dict[str, Any], rows: int, unknown: str | None) -> Vocabulary:
    """Return llama.cpp's vocabulary for a tokenizer.json, cut or padded to the embedding's `rows`.

    `unknown` is the token for unknown text. Raises InputError, naming the feature, for a tokenizer
    that llama.cpp does not support.
    """
    check_kind(content)
    if is_characters(content):
        converted = characters(content)
    elif is_sentencepiece(content):
        converted = sentencepiece_vocabulary(content, unknown)
    else:
        converted = _bytes(content)
    size = len(converted.tokens)
    if any(kind != CONTROL for kind in converted.types[rows:]):
        raise InputError(f"the tokenizer has {size} tokens, the embedding {rows} rows")
    if size > rows:  # special tokens that transformers adds: the model has no embedding for them
        return converted.first(rows)
    tokens = [*converted.tokens, *(f"[PAD{token_id}]" for token_id in range(size, rows))]
    scores = converted.scores and [*converted.scores, *[-1e4] * (rows - size)]
    types = [*converted.types, *[UNUSED] * (rows - size)]
    return dataclasses.replace(converted, tokens=tokens, types=types, scores=scores)


def _check_bytes(content: dict[str, Any]) -> None:
    model = content.get("model") or {}
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise InputError(
            f"tokenizer.json: a model of the type {model.get('type')!r} cannot be exported to "
            "GGUF; supported: byte-level BPE, SentencePiece BPE, single characters"
        )
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(name):
            raise InputError(
                f"tokenizer.json: {name}={model[name]!r} is not supported by llama.cpp"
            )
    pre_tokenizer_name(content)
    normalizer = content.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise InputError(
            f"tokenizer.json: the normalizer {normalizer.get('type')!r}: llama.cpp's byte-level "
            "BPE does not normalise text"
        )


def _bytes(content: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of a byte-level BPE."""
    model = content["model"]
    added = {token["id"]: token for token in content.get("added_tokens") or []}
    names = {token_id: token for token, token_id in model["vocab"].items()}
    names |= {token_id: token["content"] for token_id, token in added.items()}
    size = max(names, default=-1) + 1
    tokens = [names.get(token_id, f"[PAD{token_id}]") for token_id in range(size)]
    types = [
        (CONTROL if added[token_id]["special"] else USER_DEFINED)
        if token_id in added
        else (NORMAL if token_id in names else UNUSED)
        for token_id in range(size)
    ]
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    remarks = []
    if content.get("normalizer") is not None:
        remarks.append("llama.cpp does not normalise text to composed characters (NFC)")
    return Vocabulary(
        model="gpt2",
        pre=pre_tokenizer_name(content),
        tokens=tokens,
        types=types,
        merges=merges or [NO_MERGE],
        remarks=remarks,
    )
