"""Rotary positions whose factors depend on a text's length, from a config alone.

`longrope` (Phi-3) uses its short factors up to the original context and its long ones beyond;
`dynamic` rescales with every token beyond it. transformers decides by the longest text of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from storm_models.families.model_config import ModelConfig


def short_context(config: ModelConfig) -> int | None:
    """Return the tokens up to which rotary factors are the same; None where they never change."""
    stated = config.get("rope_parameters") or config.get("rope_scaling") or {}
    by_layer_type = [value for value in stated.values() if isinstance(value, dict)]
    contexts = [_context(parameters, config) for parameters in by_layer_type or [stated]]
    return min((context for context in contexts if context is not None), default=None)


def reading(config: ModelConfig, length: int) -> int:
    """Return a number that is equal for lengths with the same rotary factors."""
    context = short_context(config)
    if context is None or length <= context:
        return 0
    stated = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return length if "dynamic" in str(stated) else 1


def read_alike(config: ModelConfig, lengths: Sequence[int]) -> list[list[int]]:
    """Return the indices of texts, grouped by their rotary factors, short texts first.

    A batch uses the factors of its longest text, so groups must not share a batch.
    """
    groups: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(reading(config, length), []).append(index)
    return [groups[kind] for kind in sorted(groups)]


def answered_alike(config: ModelConfig, lengths: Sequence[int]) -> list[list[int]]:
    """Return the indices of prompts in groups that may be answered in one batch, in their order.

    `lengths` are the most tokens of each prompt with its answer. A prompt that may grow beyond the
    short context is answered alone: in a batch, its factors would change with the longest prompt's.
    """
    context = short_context(config)
    batch: list[int] = []
    alone: list[list[int]] = []
    for index, length in enumerate(lengths):
        if context is None or length <= context:
            batch.append(index)
        else:
            alone.append([index])
    return [batch, *alone] if batch else alone


def _context(stated: Mapping[str, object], config: ModelConfig) -> int | None:
    kind = str(stated.get("rope_type") or stated.get("type") or "")
    context: object = config.get("max_position_embeddings")
    if kind in ("longrope", "su"):
        name: Literal["original_max_position_embeddings"] = "original_max_position_embeddings"
        context = stated.get(name) or config.get(name) or context
    elif "dynamic" not in kind:
        return None
    return context if isinstance(context, int) else None
