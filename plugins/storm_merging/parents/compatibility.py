"""Checks that checkpoints can be merged: of specs at plan time, of tensors before merging."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from storm_exp import Cost, InputError
from storm_merging.parents.weight_semantics import weight_semantics
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import (
    EMBEDDING,
    HEAD,
    head_dim,
    is_quantised,
    parameter_count,
    tensor_shapes,
    ties_head,
)
from storm_models.families.memory import PROCESS

T = TypeVar("T")

FLOATING = ("F64", "F32", "BF16", "F16")
"""safetensors' names of the dtypes that are merged."""
COMPUTED = "rotary_emb.inv_freq"
"""End of the names of tensors that early checkpoints store, although every engine computes them."""
Headers = dict[str, tuple[str, tuple[int, ...]]]
"""{tensor name: (safetensors dtype, shape)}"""


def merge_spec(models: Sequence[CheckpointSpec], names: Sequence[str]) -> CheckpointSpec:
    """Return the spec of the merge: the first model's, with unknown fields taken from the others.

    Raises InputError, naming the difference, for checkpoints that cannot be merged.
    """
    same = len({model.shapes for model in models if model.shapes}) < 2
    models = models if same else [_as_config_implies(model) for model in models]
    first = models[0]
    for model, name in zip(models, names, strict=True):
        if is_quantised(model.config):
            raise InputError(f"{name} is quantised; merge first and compress the result")
        _compare(first, model, (names[0], name))
    return dataclasses.replace(
        first,
        parameters=_first_known(model.parameters for model in models),
        shapes=_first_known(model.shapes for model in models),
        tokenizer=_first_known(model.tokenizer for model in models),
    )


def sum_cost(merged: CheckpointSpec, models: int, operations: int = 2) -> Cost | None:
    """Return the cost of a weighted sum of models, computed once and written.

    `operations` is their number for each weight of each model. Memory is that of the process,
    since only pieces of tensors are loaded. In a sweep, sums are not written.
    """
    writing = writing_cost(merged)
    if writing is None:
        return None
    flops = None if merged.parameters is None else float(operations * models * merged.parameters)
    return dataclasses.replace(writing, flops=flops, memory=PROCESS)


def shared_tensors(models: Sequence[Checkpoint]) -> Headers:
    """Return {name: (dtype, shape)} of the merge, in the first model's dtypes.

    A tied head and computed tensors that only some models store are left out. Raises InputError,
    naming the first difference, for models with different tensors.
    """
    headers = [model.headers() for model in models]
    with_head = [HEAD in tensors for tensors in headers]
    if any(with_head) and not all(with_head) and ties_head(models[0].config()):
        for model, tensors in zip(models, headers, strict=True):
            if tensors.pop(HEAD, None):
                check_tied_head(model)
    some = {name for tensors in headers for name in tensors if name.endswith(COMPUTED)}
    if not all(name in tensors for name in some for tensors in headers):
        headers = [_without(tensors, some) for tensors in headers]
    first = headers[0]
    for name, (dtype, _) in first.items():
        if dtype not in FLOATING:
            raise InputError(f"{name} is stored as {dtype}: only floating-point tensors are merged")
    for number, other in enumerate(headers[1:], start=2):
        for tensors, others, lacking in ((first, other, number), (other, first, 1)):
            missing = [name for name in tensors if name not in others]
            if missing:
                raise InputError(f"model {lacking} lacks {_shorten(missing)}")
        for name, (_, shape) in first.items():
            dtype, other_shape = other[name]
            if other_shape != shape:
                raise InputError(
                    f"{name} has the shape {list(shape)} in model 1, {list(other_shape)} in model "
                    f"{number}"
                )
            if dtype not in FLOATING:
                raise InputError(f"{name} is stored as {dtype} in model {number}")
    return first


def _without(headers: Headers, names: Collection[str]) -> Headers:
    return {name: entry for name, entry in headers.items() if name not in names}


def check_tied_head(model: Checkpoint) -> None:
    """Raise InputError for a stored head that differs from the embedding it is tied to."""
    from storm_models.checkpoint.weights import holds_embedding

    with model.open_weights() as weights:
        same = holds_embedding(weights)
    if not same:
        raise InputError(
            f"{model.directory}: config.json ties the head to the embedding, and the weights hold "
            f"a {HEAD} that differs from it"
        )


def _as_config_implies(model: CheckpointSpec) -> CheckpointSpec:
    """Return the spec without a tied head and computed tensors that are stored besides."""
    shapes, config = _expected_shapes(model), model.config
    if shapes is None or config is None:
        return model
    head = {HEAD: shapes[EMBEDDING]} if HEAD not in shapes else {}
    computed: dict[str, tuple[int, ...]] = {
        f"model.layers.{layer}.self_attn.{COMPUTED}": (head_dim(config) // 2,)
        for layer in range(config["num_hidden_layers"])
    }
    further: list[dict[str, tuple[int, ...]]] = [head, computed, {**head, **computed}]
    if model.shapes not in [shapes_digest({**shapes, **each}) for each in further]:
        return model
    return dataclasses.replace(
        model, parameters=parameter_count(config), shapes=shapes_digest(shapes)
    )


def _compare(first: CheckpointSpec, other: CheckpointSpec, names: tuple[str, str]) -> None:
    problem = f"{names[0]} and {names[1]} cannot be merged"
    ours, theirs = (weight_semantics(model.config or {}) for model in (first, other))
    for name in ours:
        if name in theirs and ours[name] != theirs[name]:
            raise InputError(
                f"{problem}: {name} is {ours[name]} in one, {theirs[name]} in the other"
            )
    if first.shapes and other.shapes and first.shapes != other.shapes:
        details = _different_tensors(first, other, names)
        raise InputError(f"{problem}: their tensors differ in name or shape{details}")
    if first.tokenizer and other.tokenizer and first.tokenizer != other.tokenizer:
        raise InputError(f"{problem}: their tokenizers give different ids to the same text")


def _different_tensors(first: CheckpointSpec, other: CheckpointSpec, names: tuple[str, str]) -> str:
    """Return which tensors differ, as far as specs show, as the end of a sentence."""
    ours, theirs = _expected_shapes(first), _expected_shapes(other)
    if ours is None or theirs is None:
        return ""
    different = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if different:
        return f": {_shorten(different)}"
    further = [
        f"{name} stores {model.parameters - sum(map(math.prod, shapes.values())):,} parameters"
        for model, shapes, name in ((first, ours, names[0]), (other, theirs, names[1]))
        if model.parameters is not None and model.shapes != shapes_digest(shapes)
    ]
    return f": {', '.join(further)} besides those of its config.json" if further else ""


def _expected_shapes(model: CheckpointSpec) -> dict[str, tuple[int, ...]] | None:
    return tensor_shapes(model.config) if model.config else None


def _shorten(names: Sequence[str]) -> str:
    """Return the first three names and the number of the others, as text."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _first_known(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
