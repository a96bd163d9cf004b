"""Sequences of tokens as parts of examples, with the text of every token and the loss mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storm_models.chat.detokenizer import token_texts
from storm_report.look.listing import Part, Piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def token_part(
    tokenizer: PreTrainedTokenizerBase | None,
    input_ids: np.ndarray,
    loss_mask: np.ndarray,
    title: str,
    facts: str = "",
    *,
    most: int | None = None,
) -> Part:
    """Return a sequence as a part, of at most `most` tokens; without a tokenizer, ids as text.

    `loss_mask` is true where the loss counts the token. A sequence's first token is predicted from
    nothing, and so never counts.
    """
    shown = input_ids[:most].tolist()
    counts = loss_mask[:most].astype(bool).tolist()
    if counts:
        counts[0] = False
    texts = token_texts(tokenizer, shown) if tokenizer else [f" {token}" for token in shown]
    learnt = int(np.count_nonzero(loss_mask[1:]))
    notes = [f"{len(input_ids):,} tokens, the loss counts {learnt:,}"]
    if len(shown) < len(input_ids):
        notes.append(f"the first {len(shown):,} are shown")
    pieces = [
        Piece(text, counted, token)
        for text, counted, token in zip(texts, counts, shown, strict=True)
    ]
    return Part(title, pieces, " · ".join([facts, *notes] if facts else notes))
