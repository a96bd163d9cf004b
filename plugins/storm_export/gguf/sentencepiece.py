"""Conversion of SentencePiece BPE: pieces with scores, byte fallback, ▁ for a space.

tokenizer.json ranks merges; SentencePiece and llama.cpp merge the neighbours whose joined piece has
the highest score. Both give the same tokens if the merges of each piece are consecutive and
comprise every pair of pieces that forms it, as in tokenizers converted from SentencePiece.
"""

from __future__ import annotations

import re
from typing import Any

from storm_exp import InputError
from storm_export.gguf.tokens import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Space,
    Vocabulary,
)

_SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def is_sentencepiece(content: dict[str, Any]) -> bool:
    """Return whether a tokenizer.json is a BPE over characters with byte fallback."""
    model = content.get("model") or {}
    return model.get("type") == "BPE" and bool(model.get("byte_fallback"))


def check_sentencepiece(content: dict[str, Any]) -> None:
    """Raise InputError for a tokenizer.json with features that SentencePiece lacks."""
    _inserted_space(content)
    model = content["model"]
    if model.get("ignore_merges") or model.get("dropout"):
        raise InputError("tokenizer.json: ignore_merges or dropout: llama.cpp's SPM has neither")
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    missing = [token for token in byte_tokens if token not in model["vocab"]]
    if missing:
        raise InputError(f"tokenizer.json: byte_fallback lacks the token {missing[0]}")


def sentencepiece_vocabulary(content: dict[str, Any], unknown: str | None) -> Vocabulary:
    """Return the pieces and their scores; `unknown` is the token for unknown text."""
    model, added = content["model"], {}
    for token in content.get("added_tokens") or []:
        added[token["id"]] = token
    names = {token_id: token for token, token_id in model["vocab"].items()}
    names |= {token_id: token["content"] for token_id, token in added.items()}
    ranks = _ranks(content, {token["content"] for token in added.values()})
    tokens, types, scores = [], [], []
    for token_id in range(max(names) + 1):
        name = names.get(token_id, f"[PAD{token_id}]")
        default = 0.0 if token_id in added else -1e4
        tokens.append(name)
        scores.append(-float(ranks[name]) if name in ranks else default)
        types.append(_type(name, token_id, names, added, unknown))
    return Vocabulary(
        model="llama",
        pre="default",
        tokens=tokens,
        types=types,
        scores=scores,
        space=_inserted_space(content),
    )


def _type(
    name: str, token_id: int, names: dict[int, str], added: dict[int, Any], unknown: str | None
) -> int:
    if name == unknown:
        return UNKNOWN
    if token_id in added:
        return CONTROL if added[token_id]["special"] else USER_DEFINED
    if token_id not in names:
        return UNUSED
    return BYTE if _BYTE.fullmatch(name) else NORMAL


def _ranks(content: dict[str, Any], added: set[str]) -> dict[str, int]:
    """Return {piece: rank of its merges}; raises InputError if SentencePiece cannot have them."""
    vocabulary = content["model"]["vocab"]
    pairs = [tuple(m.split(" ") if isinstance(m, str) else m) for m in content["model"]["merges"]]
    joined: dict[str, set[tuple[str, ...]]] = {}
    last = ""
    for pair in pairs:
        piece = "".join(pair)
        if piece in joined and piece != last and piece not in added:
            raise _unsupported(f"the merges that form {piece!r} are not consecutive")
        joined.setdefault(piece, set()).add(pair)
        last = piece
    for piece in vocabulary:
        if piece in added or _BYTE.fullmatch(piece):
            continue
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = {pair for pair in cuts if pair[0] in vocabulary and pair[1] in vocabulary}
        missing = sorted(known - joined.get(piece, set()))
        if missing:
            raise _unsupported(f"no merge of {' and '.join(map(repr, missing[0]))} to {piece!r}")
    return {piece: rank for rank, piece in enumerate(joined)}


def _unsupported(reason: str) -> InputError:
    return InputError(
        f"tokenizer.json: no SentencePiece model has these merges ({reason}), so llama.cpp would "
        "give other tokens"
    )


def _inserted_space(content: dict[str, Any]) -> Space:
    """Return where a space is inserted; raises InputError for any other preprocessing."""
    steps = _parts(content.get("normalizer"), "normalizers")
    cuts = _parts(content.get("pre_tokenizer"), "pretokenizers")
    space = Space.NOWHERE
    for step in (*steps, *cuts):
        kind = step.get("type")
        if kind == "Prepend" and step.get("prepend") == _SPACE:
            space = Space.EVERYWHERE
        elif kind == "Replace" and _is_space(step) and step.get("content") == _SPACE:
            continue
        elif kind == "Split" and _is_space(step):
            continue  # Gemma's, without effect: its normalizer replaces all spaces
        elif kind == "Metaspace" and step.get("replacement") == _SPACE and not step.get("split"):
            scheme = step.get("prepend_scheme", "always")
            if scheme != "never":
                space = Space.FIRST if scheme == "first" else Space.EVERYWHERE
        else:
            raise InputError(
                f"tokenizer.json: llama.cpp's SentencePiece does not support the step {kind!r} "
                f"({step})"
            )
    return space


def _is_space(step: dict[str, Any]) -> bool:
    return (step.get("pattern") or {}).get("String") == " "


def _parts(definition: Any, inside: str) -> list[dict[str, Any]]:
    if definition is None:
        return []
    parts = definition.get(inside) if definition.get("type") == "Sequence" else [definition]
    return list(parts or [])
