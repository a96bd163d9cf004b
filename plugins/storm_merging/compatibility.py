"""Whether checkpoints can be merged: everything that is checked before the first byte."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeVar

from storm_exp import InputError
from storm_exp.cost import Cost
from storm_models.checkpoint import Checkpoint, CheckpointForecast
from storm_models.inference_cost import writing_cost
from storm_models.memory import PROCESS

T = TypeVar("T")

_FLOATING = ("F64", "F32", "BF16", "F16")
_SIZES = (
    "model_type",
    "num_hidden_layers",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
)


def forecast_merge(
    models: Sequence[CheckpointForecast], names: Sequence[str]
) -> CheckpointForecast:
    """Return what merging gives: the first model's facts, as far as any of them is known.

    Raises InputError, naming what differs, for checkpoints that cannot be merged.
    """
    first = models[0]
    for model, name in zip(models, names, strict=True):
        if "quantization_config" in (model.config or {}):
            raise InputError(f"{name} is quantised; merge first and compress the result")
        _compare(first, model, names[0], name)
    return dataclasses.replace(
        first,
        parameters=_first_known(model.parameters for model in models),
        shapes=_first_known(model.shapes for model in models),
        tokenizer=_first_known(model.tokenizer for model in models),
    )


def sum_cost(merged: CheckpointForecast, models: int, each: int = 2) -> Cost | None:
    """Return the cost of a weighted sum of models, once computed and written.

    `each` operations are done with a weight of each model. Pieces of tensors count for nothing
    beside the process. The cells of a sweep write nothing.
    """
    writing = writing_cost(merged)
    if writing is None:
        return None
    flops = None if merged.parameters is None else float(each * models * merged.parameters)
    return dataclasses.replace(writing, flops=flops, memory=PROCESS)


def check_tensors(models: Sequence[Checkpoint]) -> None:
    """Compare the headers of checkpoints; raises InputError that names the first difference."""
    first = models[0].headers()
    for name, (dtype, _) in first.items():
        if dtype not in _FLOATING:
            raise InputError(f"{name} is stored as {dtype}: only floating-point tensors are merged")
    for position, model in enumerate(models[1:], start=2):
        other = model.headers()
        for ours, theirs, lacking in ((first, other, position), (other, first, 1)):
            missing = [name for name in ours if name not in theirs]
            if missing:
                raise InputError(
                    f"model {lacking} lacks {missing[0]} ({len(missing)} tensors differ)"
                )
        for name, (_, shape) in first.items():
            dtype, found = other[name]
            if found != shape:
                raise InputError(
                    f"{name} has the shape {list(shape)} in model 1, {list(found)} in model "
                    f"{position}"
                )
            if dtype not in _FLOATING:
                raise InputError(f"{name} is stored as {dtype} in model {position}")


def _compare(first: CheckpointForecast, other: CheckpointForecast, one: str, two: str) -> None:
    if first.config and other.config:
        for size in _SIZES:
            if size not in first.config or size not in other.config:
                continue
            ours, theirs = first.config[size], other.config[size]
            if ours != theirs:
                raise InputError(
                    f"{one} and {two} cannot be merged: {size} is {ours} in one, {theirs} in the "
                    "other"
                )
    if first.shapes and other.shapes and first.shapes != other.shapes:
        raise InputError(f"{one} and {two} cannot be merged: their tensors differ in name or shape")
    if first.tokenizer and other.tokenizer and first.tokenizer != other.tokenizer:
        raise InputError(
            f"{one} and {two} cannot be merged: their tokenizers give different ids to the same "
            "text"
        )


def _first_known(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
