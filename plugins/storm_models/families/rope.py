"""Rotary positions that depend on how long a text is, from a config alone.

`longrope` (Phi-3) takes its short factors up to the original context and its long ones beyond,
`dynamic` stretches with every token beyond it. transformers decides by the longest of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from storm_models.families.model_config import ModelConfig


def short_context(config: ModelConfig) -> int | None:
    """Return up to how many tokens all texts are read alike; None where length never matters."""
    stated = config.get("rope_parameters") or config.get("rope_scaling") or {}
    several = [each for each in stated.values() if isinstance(each, dict)]
    found = [_context(each, config) for each in several or [stated]]
    return min((context for context in found if context is not None), default=None)


def reading(config: ModelConfig, length: int) -> int:
    """Return a number that is equal for texts that are read alike: by the same factors."""
    context = short_context(config)
    if context is None or length <= context:
        return 0
    stated = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return length if "dynamic" in str(stated) else 1


def read_alike(config: ModelConfig, lengths: Sequence[int]) -> list[list[int]]:
    """Return the places of texts in groups that are read by the same factors, short ones first.

    A batch is read by those of its longest, so groups go into batches of their own.
    """
    groups: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        groups.setdefault(reading(config, length), []).append(place)
    return [groups[kind] for kind in sorted(groups)]


def answered_alike(config: ModelConfig, lengths: Sequence[int]) -> list[list[int]]:
    """Return the places of prompts in groups that are answered together, in their order.

    `lengths` are what each may become with its answer. What may become longer than all texts are
    read alike is answered alone: it changes factors when the longest of its batch does.
    """
    context = short_context(config)
    together: list[int] = []
    alone: list[list[int]] = []
    for place, length in enumerate(lengths):
        if context is None or length <= context:
            together.append(place)
        else:
            alone.append([place])
    return [together, *alone] if together else alone


def _context(stated: Mapping[str, object], config: ModelConfig) -> int | None:
    kind = str(stated.get("rope_type") or stated.get("type") or "")
    context: object = config.get("max_position_embeddings")
    if kind in ("longrope", "su"):
        name: Literal["original_max_position_embeddings"] = "original_max_position_embeddings"
        context = stated.get(name) or config.get(name) or context
    elif "dynamic" not in kind:
        return None
    return context if isinstance(context, int) else None
