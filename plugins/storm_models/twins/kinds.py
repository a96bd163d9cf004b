"""Kinds of tokenizers, as model families use them."""

from __future__ import annotations

import dataclasses

PIECES = 900
"""Size of a twin's vocabulary, without special tokens and single bytes."""
_PADDING = 64
"""A padded vocabulary is a multiple of this, with at least one unused row."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """The form of a family's tokenizers."""

    pieces: str
    """bytes: byte-level BPE. sentences: BPE over characters with byte fallback, as
    SentencePiece's, where a space is ▁."""
    eos: str
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None
    first: tuple[str, ...] = ()
    """Special tokens before the vocabulary, in order."""
    last: tuple[str, ...] = ()
    """Special tokens after it."""
    adds_bos: bool = False
    """Whether the tokenizer writes a BOS before a text."""
    leading_space: bool = False
    """For sentences: whether a space is prepended to a text."""
    digits: str = ""
    """For bytes: the most digits of a piece, as a regex quantifier; empty: one by one."""
    tokenizer_class: str = "PreTrainedTokenizerFast"


KINDS = {
    "llama3": Kind(
        pieces="bytes",
        bos="<|begin_of_text|>",
        eos="<|end_of_text|>",
        last=(
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|finetune_right_pad_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
            "<|python_tag|>",
        ),
        adds_bos=True,
        digits="{1,3}",
    ),
    "qwen2": Kind(
        pieces="bytes",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        last=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        tokenizer_class="Qwen2Tokenizer",
    ),
    "llama2": Kind(
        pieces="sentences",
        unk="<unk>",
        bos="<s>",
        eos="</s>",
        first=("<unk>", "<s>", "</s>"),
        adds_bos=True,
        leading_space=True,
        tokenizer_class="LlamaTokenizer",
    ),
    "phi3": Kind(
        pieces="sentences",
        unk="<unk>",
        bos="<s>",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        first=("<unk>", "<s>", "</s>"),
        last=(
            "<|endoftext|>",
            "<|assistant|>",
            "<|placeholder1|>",
            "<|system|>",
            "<|end|>",
            "<|user|>",
        ),
        leading_space=True,
        tokenizer_class="LlamaTokenizer",
    ),
    "gemma": Kind(
        pieces="sentences",
        unk="<unk>",
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
        first=("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"),
        adds_bos=True,
        tokenizer_class="GemmaTokenizer",
    ),
}


def token_count(kind: Kind) -> int:
    """Return the number of tokens of a twin's tokenizer."""
    single = 256 if kind.pieces == "sentences" else 0
    return PIECES + single + len(kind.first) + len(kind.last)


def vocabulary(kind: Kind, padded: bool) -> int:
    """Return the number of rows of a twin's embedding."""
    count = token_count(kind)
    return (count // _PADDING + 1) * _PADDING if padded else count
