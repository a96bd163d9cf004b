"""Small tokenizers of the kinds that model families use, trained on library docstrings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from storm_exp import InputError
from storm_models.twins.kinds import KINDS, PIECES, Kind, token_count
from storm_models.twins.library_docstrings import library_docstrings
from storm_models.twins.originals import Original

_TEXTS = 600
"""Docstrings that a tokenizer is trained on."""
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_tokenizer(original: Original, template: str, folder: Path) -> Tokenizer:
    """Write a tokenizer of an original's kind to a folder and return it.

    `template` is the text of a chat template, empty for none. Raises InputError where Python runs
    without docstrings, which tokenizers are trained on.
    """
    kind = KINDS[original.tokenizer]
    tokenizer = _bytes(kind) if kind.pieces == "bytes" else _sentences(kind)
    specials = [AddedToken(t, special=True, normalized=False) for t in (*kind.first, *kind.last)]
    tokenizer.add_special_tokens(specials)
    if kind.adds_bos and kind.bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{kind.bos} $A",
            pair=f"{kind.bos} $A {kind.bos} $B",
            special_tokens=[(kind.bos, tokenizer.token_to_id(kind.bos))],
        )
    if tokenizer.get_vocab_size() != token_count(kind):
        raise InputError("a twin's tokenizer is trained on docstrings: run Python without -OO")
    tokenizer.save(str(folder / "tokenizer.json"))
    content: dict[str, Any] = {
        "tokenizer_class": kind.tokenizer_class,
        "model_max_length": 10**9,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": kind.adds_bos,
        "add_eos_token": False,
        "bos_token": kind.bos,
        "eos_token": original.eos or kind.eos,
        "pad_token": kind.pad,
        "unk_token": kind.unk,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token in (*kind.first, *kind.last)
        },
    }
    if template:
        content["chat_template"] = template
    text = json.dumps({name: value for name, value in content.items() if value is not None})
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return tokenizer


def _bytes(kind: Kind) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(_WORDS % kind.digits), behavior="isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    if kind.tokenizer_class == "Qwen2Tokenizer":
        tokenizer.normalizer = normalizers.NFC()
    _train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def _sentences(kind: Kind) -> Tokenizer:
    """Return a SentencePiece-like tokenizer whose merges stay within words, digits and signs."""
    tokenizer = Tokenizer(models.BPE(unk_token=kind.unk, byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", behavior="isolated"),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(behavior="isolated"),
        ]
    )
    letters = [chr(code) for code in range(32, 127)] + ["▁", "\n"]
    as_bytes = [f"<0x{code:02X}>" for code in range(256)]
    _train(tokenizer, initial_alphabet=letters, special_tokens=[*kind.first, *as_bytes])
    trained = json.loads(tokenizer.to_str())
    # The bytes were trained as special tokens, but are ordinary pieces for unknown characters.
    trained["added_tokens"] = []
    trained["pre_tokenizer"] = None
    trained["model"]["merges"] = _merges(trained["model"]["vocab"], {*kind.first, *as_bytes})
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    spaces = normalizers.Replace(" ", "▁")
    steps = [normalizers.Prepend("▁"), spaces] if kind.leading_space else [spaces]
    tokenizer.normalizer = normalizers.Sequence(steps)
    ends = [decoders.Strip(" ", 1, 0)] if kind.leading_space else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *ends]
    )
    return tokenizer


def _merges(vocabulary: dict[str, int], whole: set[str]) -> list[list[str]]:
    """Return all pairs of pieces that make up a piece, in the pieces' order, as SentencePiece has.

    Training joins a piece in one way; SentencePiece joins any two neighbours that make one up.
    What is `whole` is never joined.
    """
    pieces = sorted(set(vocabulary) - whole, key=lambda piece: vocabulary[piece])
    return [
        [piece[:at], piece[at:]]
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in vocabulary and piece[at:] in vocabulary
    ]


def _train(tokenizer: Tokenizer, **options: Any) -> None:
    further = len(options.get("special_tokens", ()))
    trainer = trainers.BpeTrainer(vocab_size=PIECES + further, show_progress=False, **options)
    tokenizer.train_from_iterator(_texts(), trainer)


def _texts() -> Iterator[str]:
    for number, (_, text) in enumerate(library_docstrings()):
        if number == _TEXTS:
            return
        yield " ".join(text.split(" "))
