"""The cost of evaluating a model."""

from __future__ import annotations

from storm_exp import Cost
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.flops import Reading

_PROMPT, _ANSWER = 2048, 16
"""Tokens of a long prompt, and of the answers scored after one."""


def evaluation_cost(
    model: CheckpointSpec,
    batch_size: int,
    max_length: int | None,
    dtype: str,
    tokens: float | None,
    longest: float = _PROMPT,
) -> Cost | None:
    """Return the cost of `tokens` in prompts of up to `longest`; None: the memory alone."""
    positions = (model.config or {}).get("max_position_embeddings") or longest
    length = min(max_length or longest, longest, positions)
    answers = batch_size * _ANSWER
    reading = None if tokens is None else Reading(tokens, length, tokens / length * _ANSWER)
    batch = Reading(batch_size * length, length, answers)
    assumes = f"prompts of up to {length:.0f} tokens"
    return inference_cost(model, reading, batch, dtype=dtype, assumes=assumes)
