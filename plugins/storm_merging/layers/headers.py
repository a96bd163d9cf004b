"""Dtypes and shapes of the parents' tensors, and those of a merge."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from storm_exp import InputError
from storm_merging.layers.output_tensor import OutputTensor
from storm_merging.parents.compatibility import COMPUTED, FLOATING, Headers, check_tied_head
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.dtype import Dtype
from storm_models.families.architecture import HEAD, ties_head
from storm_models.families.model_config import ModelConfig
from storm_models.folder.tensor_file import DTYPES

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def check_headers(models: Sequence[Checkpoint], configs: Sequence[ModelConfig]) -> list[Headers]:
    """Return every model's {name: (dtype, shape)}, without tied heads and computed tensors.

    Raises InputError for tensors that are not of floating point, and for a tied head that differs
    from the embedding.
    """
    found = []
    for number, (model, config) in enumerate(zip(models, configs, strict=True), start=1):
        stored = model.headers()
        headers = {name: stored[name] for name in stored if not name.endswith(COMPUTED)}
        if HEAD in headers and ties_head(config):
            check_tied_head(model)
            del headers[HEAD]
        for name, (dtype, _) in headers.items():
            if dtype not in FLOATING:
                raise InputError(
                    f"{name} is stored as {dtype} in model {number}: only floating-point tensors "
                    "are merged"
                )
        found.append(headers)
    return found


def merged_headers(
    tensors: Sequence[OutputTensor], headers: Sequence[Headers], dtype: Dtype | None
) -> Headers:
    """Return {name: (dtype, shape)} of the merge.

    Without a `dtype`, a tensor has that of its sources; of several, the one that holds all.
    """
    result = {}
    for tensor in tensors:
        model, name = tensor.sources[0]
        if dtype is not None:
            stored = _NAMES[getattr(torch, dtype.value)]
        else:
            kinds = [DTYPES[headers[model][name][0]] for model, name in tensor.sources]
            stored = _NAMES[functools.reduce(torch.promote_types, kinds)]
        result[tensor.name] = (stored, headers[model][name][1])
    return result
