"""What asking a model takes."""

from __future__ import annotations

from storm_exp.cost import Cost
from storm_models.checkpoint import CheckpointForecast
from storm_models.flops import Reading
from storm_models.inference_cost import inference_cost

_PROMPT, _ANSWER = 2048, 16
"""Tokens of a long prompt, and of the answers to score after one."""


def evaluation_cost(
    model: CheckpointForecast,
    batch_size: int,
    max_length: int | None,
    dtype: str,
    tokens: float | None,
) -> Cost | None:
    """Return the cost of reading `tokens`, None: of memory alone."""
    positions = (model.config or {}).get("max_position_embeddings") or _PROMPT
    length = min(max_length or _PROMPT, positions)
    answers = batch_size * _ANSWER
    reading = None if tokens is None else Reading(tokens, length, tokens / length * _ANSWER)
    batch = Reading(batch_size * length, length, answers)
    return inference_cost(model, reading, batch, dtype=dtype)
