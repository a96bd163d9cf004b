"""Merging tensor by tensor with mergekit's arithmetic; files and metadata are handled here."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import torch
from mergekit.merge_methods import merge_tensors

from storm_exp import InputError, StageContext
from storm_merging.parents.compatibility import shared_tensors
from storm_merging.parents.merged_checkpoint import write_summary
from storm_models.chat.inheritance import inherit_chat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import accumulator, read_tensor
from storm_models.folder.files import WEIGHT_FILE
from storm_models.folder.tensor_file import DTYPES, TensorWriter


def merge_with_mergekit(
    stage: StageContext,
    method: str,
    base: Checkpoint | None,
    models: list[Checkpoint],
    parameters: dict[str, Any],
    seed: int,
) -> Checkpoint:
    """Write the merge of `models`, and of `base` if the method takes one, into the stage.

    In `parameters`, a list holds a value per model. A model that is identical to the base is left
    out. Config, tokenizer and dtypes are the base's, or the first model's. Random numbers are
    seeded for each tensor, by `seed` and the tensor's name. Memory: the tensors of one name in
    fp32, and the method's intermediate results. Raises InputError for models that do not fit each
    other or the method, and for NaN, infinity and overflow.
    """
    used = [i for i, m in enumerate(models) if base is None or m.directory != base.directory]
    if not used:
        raise InputError(f"{method}: every model is the base itself, there is nothing to merge")
    used_parameters = {
        name: [value[i] for i in used] if isinstance(value, list) else value
        for name, value in parameters.items()
    }
    parents = [*([base] if base else []), *(models[i] for i in used)]
    headers = shared_tensors(parents)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stage.compute())
        sources = [stack.enter_context(model.open_weights()) for model in parents]
        writer = stack.enter_context(TensorWriter(stage.directory / WEIGHT_FILE, headers))
        progress = stack.enter_context(stage.progress(len(headers), "tensors"))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        for name, (dtype, _) in headers.items():
            tensors = [read_tensor(weights, name) for weights in sources]
            if not all(bool(tensor.isfinite().all()) for tensor in tensors):
                raise InputError(f"{name} holds NaN or infinity in one of the models")
            torch.manual_seed(int(hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:8], 16))
            try:
                merged = merge_tensors(
                    tensors,
                    method,
                    parameters=used_parameters,
                    base_index=None if base is None else 0,
                    name=name,
                    dtype=accumulator(*tensors),
                    out_dtype=DTYPES[dtype],
                )
            except ValueError as error:
                raise InputError(f"{method}: {error}") from error
            if not bool(merged.isfinite().all()):
                raise InputError(f"{name}: merging gives NaN, or {merged.dtype} overflows")
            writer.write(name, merged)
            progress.advance()
    parents[0].copy_companions(stage.directory)
    inherit_chat(stage, stage.directory, [model.directory for model in parents])
    result = Checkpoint(stage.directory)
    write_summary(result, method, parameters=parameters)
    stage.metric("models", len(used), main=True)
    return result
