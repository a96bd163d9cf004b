"""Whether checkpoints can be merged: everything that is checked before the first byte."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from storm_exp import Cost, InputError
from storm_merging.parents.weight_semantics import weight_semantics
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import (
    EMBEDDING,
    HEAD,
    is_quantised,
    parameter_count,
    tensor_shapes,
    ties_head,
)
from storm_models.families.memory import PROCESS

T = TypeVar("T")

_FLOATING = ("F64", "F32", "BF16", "F16")
Headers = dict[str, tuple[str, tuple[int, ...]]]
"""{tensor name: (safetensors dtype, shape)}"""


def merge_spec(models: Sequence[CheckpointSpec], names: Sequence[str]) -> CheckpointSpec:
    """Return what merging gives: the first model's spec, as far as any of them is known.

    Raises InputError, naming what differs, for checkpoints that cannot be merged.
    """
    same = len({model.shapes for model in models if model.shapes}) < 2
    models = models if same else [_without_tied_head(model) for model in models]
    first = models[0]
    for model, name in zip(models, names, strict=True):
        if is_quantised(model.config):
            raise InputError(f"{name} is quantised; merge first and compress the result")
        _compare(first, model, names[0], name)
    return dataclasses.replace(
        first,
        parameters=_first_known(model.parameters for model in models),
        shapes=_first_known(model.shapes for model in models),
        tokenizer=_first_known(model.tokenizer for model in models),
    )


def sum_cost(merged: CheckpointSpec, models: int, each: int = 2) -> Cost | None:
    """Return the cost of a weighted sum of models, once computed and written.

    `each` operations are done with a weight of each model. Pieces of tensors count for nothing
    beside the process. The cells of a sweep write nothing.
    """
    writing = writing_cost(merged)
    if writing is None:
        return None
    flops = None if merged.parameters is None else float(each * models * merged.parameters)
    return dataclasses.replace(writing, flops=flops, memory=PROCESS)


def shared_tensors(models: Sequence[Checkpoint]) -> Headers:
    """Return {name: (dtype, shape)} of what a merge gives, in the first model's dtypes.

    A tied head that only some models store beside the embedding is not among them. Raises
    InputError that names the first difference.
    """
    headers = [model.headers() for model in models]
    stored = [HEAD in each for each in headers]
    if any(stored) and not all(stored) and ties_head(models[0].config()):
        for model, each in zip(models, headers, strict=True):
            if each.pop(HEAD, None):
                _check_tied_head(model)
    first = headers[0]
    for name, (dtype, _) in first.items():
        if dtype not in _FLOATING:
            raise InputError(f"{name} is stored as {dtype}: only floating-point tensors are merged")
    for position, other in enumerate(headers[1:], start=2):
        for ours, theirs, lacking in ((first, other, position), (other, first, 1)):
            missing = [name for name in ours if name not in theirs]
            if missing:
                raise InputError(f"model {lacking} lacks {_listed(missing)}")
        for name, (_, shape) in first.items():
            dtype, found = other[name]
            if found != shape:
                raise InputError(
                    f"{name} has the shape {list(shape)} in model 1, {list(found)} in model "
                    f"{position}"
                )
            if dtype not in _FLOATING:
                raise InputError(f"{name} is stored as {dtype} in model {position}")
    return first


def _check_tied_head(model: Checkpoint) -> None:
    """Raise InputError for a stored head that is not the embedding: transformers obeys it."""
    from storm_models.checkpoint.weights import holds_embedding

    with model.open_weights() as weights:
        same = holds_embedding(weights)
    if not same:
        raise InputError(
            f"{model.directory}: config.json ties the head to the embedding, and the weights hold "
            f"a {HEAD} that differs from it"
        )


def _without_tied_head(model: CheckpointSpec) -> CheckpointSpec:
    """Return the spec without a head that is tied and stored beside the embedding all the same."""
    shapes = _expected_shapes(model)
    if shapes is None or HEAD in shapes:
        return model
    if model.shapes != shapes_digest({**shapes, HEAD: shapes[EMBEDDING]}):
        return model
    return dataclasses.replace(
        model, parameters=parameter_count(model.config or {}), shapes=shapes_digest(shapes)
    )


def _compare(first: CheckpointSpec, other: CheckpointSpec, one: str, two: str) -> None:
    ours, theirs = (weight_semantics(model.config or {}) for model in (first, other))
    for name in ours:
        if name in theirs and ours[name] != theirs[name]:
            raise InputError(
                f"{one} and {two} cannot be merged: {name} is {ours[name]} in one, {theirs[name]} "
                "in the other"
            )
    if first.shapes and other.shapes and first.shapes != other.shapes:
        raise InputError(
            f"{one} and {two} cannot be merged: their tensors differ in name or shape"
            f"{_tensors_apart(first, other, one, two)}"
        )
    if first.tokenizer and other.tokenizer and first.tokenizer != other.tokenizer:
        raise InputError(
            f"{one} and {two} cannot be merged: their tokenizers give different ids to the same "
            "text"
        )


def _tensors_apart(first: CheckpointSpec, other: CheckpointSpec, one: str, two: str) -> str:
    """Return what digests and configs tell of tensors that differ, for the end of a sentence."""
    ours, theirs = _expected_shapes(first), _expected_shapes(other)
    if ours is None or theirs is None:
        return ""
    apart = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if apart:
        return f": {_listed(apart)}"
    further = [
        f"{whose} stores {model.parameters - sum(map(math.prod, shapes.values())):,} parameters"
        for model, shapes, whose in ((first, ours, one), (other, theirs, two))
        if model.parameters is not None and model.shapes != shapes_digest(shapes)
    ]
    return f": {', '.join(further)} beside those that its config.json asks for" if further else ""


def _expected_shapes(model: CheckpointSpec) -> dict[str, tuple[int, ...]] | None:
    return tensor_shapes(model.config) if model.config else None


def _listed(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _first_known(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
