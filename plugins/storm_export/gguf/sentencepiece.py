"""SentencePiece's BPE: pieces with scores, single bytes to fall back on, ▁ for a space.

tokenizer.json holds merges by rank, SentencePiece and llama.cpp join the two neighbours whose piece
has the highest score. Both give the same tokens where the merges are all pairs of pieces that make
up a piece, and those of one piece stand together, as in what is converted from SentencePiece.
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


def is_sentences(content: dict[str, Any]) -> bool:
    """Return whether a tokenizer.json is a BPE over characters with bytes to fall back on."""
    model = content.get("model") or {}
    return model.get("type") == "BPE" and bool(model.get("byte_fallback"))


def check_sentences(content: dict[str, Any]) -> None:
    """Raise InputError for one that SentencePiece would not follow."""
    _puts_space(content)
    model = content["model"]
    if model.get("ignore_merges") or model.get("dropout"):
        raise InputError("tokenizer.json: ignore_merges or dropout: llama.cpp's SPM has neither")
    lacking = [f"<0x{byte:02X}>" for byte in range(256)]
    lacking = [name for name in lacking if name not in model["vocab"]]
    if lacking:
        raise InputError(f"tokenizer.json: no token {lacking[0]} to fall back on")


def sentences(content: dict[str, Any], unknown: str | None) -> Vocabulary:
    """Return its pieces and their scores; `unknown` is the token that stands for what has none."""
    model, added = content["model"], {}
    for token in content.get("added_tokens") or []:
        added[token["id"]] = token
    names = {place: token for token, place in model["vocab"].items()}
    names |= {place: token["content"] for place, token in added.items()}
    ranks = _ranks(content, {token["content"] for token in added.values()})
    tokens, types, scores = [], [], []
    for place in range(max(names) + 1):
        name = names.get(place, f"[PAD{place}]")
        tokens.append(name)
        scores.append(-float(ranks[name]) if name in ranks else (0.0 if place in added else -1e4))
        types.append(_type(name, place, names, added, unknown))
    return Vocabulary(
        model="llama",
        pre="default",
        tokens=tokens,
        types=types,
        scores=scores,
        space=_puts_space(content),
    )


def _type(
    name: str, place: int, names: dict[int, str], added: dict[int, Any], unknown: str | None
) -> int:
    if name == unknown:
        return UNKNOWN
    if place in added:
        return CONTROL if added[place]["special"] else USER_DEFINED
    if place not in names:
        return UNUSED
    return BYTE if _BYTE.fullmatch(name) else NORMAL


def _ranks(content: dict[str, Any], added: set[str]) -> dict[str, int]:
    """Return {piece: at which place among the pieces it is joined}; raises InputError."""
    vocabulary = content["model"]["vocab"]
    pairs = [tuple(m.split(" ") if isinstance(m, str) else m) for m in content["model"]["merges"]]
    joined: dict[str, set[tuple[str, ...]]] = {}
    last = ""
    for pair in pairs:
        piece = "".join(pair)
        if piece in joined and piece != last and piece not in added:
            raise _unlike(f"merges that give {piece!r} do not stand together")
        joined.setdefault(piece, set()).add(pair)
        last = piece
    for piece in vocabulary:
        if piece in added or _BYTE.fullmatch(piece):
            continue
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = {pair for pair in cuts if pair[0] in vocabulary and pair[1] in vocabulary}
        lacking = sorted(known - joined.get(piece, set()))
        if lacking:
            raise _unlike(f"{piece!r} is not joined from {' and '.join(map(repr, lacking[0]))}")
    return {piece: rank for rank, piece in enumerate(joined)}


def _unlike(reason: str) -> InputError:
    return InputError(
        f"tokenizer.json: no SentencePiece model has these merges ({reason}), and llama.cpp would "
        "give other tokens"
    )


def _puts_space(content: dict[str, Any]) -> Space:
    """Return where a space is put before a text; raises InputError for what is done besides."""
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
            continue  # Gemma's, which finds none: spaces are replaced before
        elif kind == "Metaspace" and step.get("replacement") == _SPACE and not step.get("split"):
            scheme = step.get("prepend_scheme", "always")
            if scheme != "never":
                space = Space.FIRST if scheme == "first" else Space.EVERYWHERE
        else:
            raise InputError(
                f"tokenizer.json: the step {kind!r} ({step}) is none of a SentencePiece model, as "
                "llama.cpp reads it"
            )
    return space


def _is_space(step: dict[str, Any]) -> bool:
    return (step.get("pattern") or {}).get("String") == " "


def _parts(definition: Any, inside: str) -> list[dict[str, Any]]:
    if definition is None:
        return []
    parts = definition.get(inside) if definition.get("type") == "Sequence" else [definition]
    return list(parts or [])
