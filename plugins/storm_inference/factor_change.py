"""Generating through the length at which a text's rotary factors change."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch

from storm_models.families.model_config import ModelConfig
from storm_models.families.rope import short_context

Generate = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Returns the ids [batch, length] it was given, with what it wrote behind them, up to a length."""


def generate_through(
    config: ModelConfig,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    max_length: int,
    ends: Collection[int],
    generate: Generate,
) -> torch.Tensor:
    """Return what `generate(input_ids, mask, max_length)` is to return, up to a token of `ends`.

    A text that comes to be longer than `short_context` is to be read again, whole, by its new
    factors, where `generate` keeps its keys by the old ones. So it is asked up to that length, and
    asked to go on with a text that has it. Such a text stands alone (`answered_alike`).
    """
    context = short_context(config)
    if context is None or not input_ids.shape[1] <= context < max_length - 1:
        return generate(input_ids, mask, max_length)
    assert len(input_ids) == 1
    begun = generate(input_ids, mask, context + 1)
    if begun.shape[1] <= context or int(begun[0, -1]) in ends:
        return begun
    return generate(begun, mask.new_ones(begun.shape), max_length)
