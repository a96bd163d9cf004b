"""Generation beyond the length at which the rotary factors change (LongRoPE)."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch

from storm_models.families.model_config import ModelConfig
from storm_models.families.rope import short_context

Generate = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Function (ids [batch, length], mask, max_length) → the ids and the generated ones after them."""


def generate_through(
    config: ModelConfig,
    input_ids: torch.Tensor,
    mask: torch.Tensor,
    max_length: int,
    ends: Collection[int],
    generate: Generate,
) -> torch.Tensor:
    """Return `generate(input_ids, mask, max_length)` with the right rotary factors at any length.

    When a text grows beyond `short_context`, all its keys must be recomputed with the factors of
    long texts, but `generate` would keep the cached ones. It is therefore called up to that length
    and, unless the text ended with a token of `ends`, once more to continue. Such a text is alone
    in its batch (`answered_alike`).
    """
    context = short_context(config)
    if context is None or not input_ids.shape[1] <= context < max_length - 1:
        return generate(input_ids, mask, max_length)
    assert len(input_ids) == 1
    beginning = generate(input_ids, mask, context + 1)
    if beginning.shape[1] <= context or int(beginning[0, -1]) in ends:
        return beginning
    return generate(beginning, mask.new_ones(beginning.shape), max_length)
