"""Writing a trained model with the tensor names, files and dtypes of its source checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Set
from pathlib import Path

import torch
from transformers import PreTrainedModel

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import read_tensor
from storm_models.folder.files import checkpoint_files
from storm_models.folder.tensor_file import DTYPES, TensorWriter


def stored_names(source: Checkpoint, model: PreTrainedModel) -> dict[str, str]:
    """Return {tensor in the files: name of the model's parameter}; tied tensors share a parameter.

    Tensors that are not parameters (buffers) are left out. Raises InputError when a parameter of
    the model is not in the files under its own name.
    """
    canonical = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = {
        name: canonical[id(parameters[name])] for name in source.headers() if name in parameters
    }
    missing = sorted(set(canonical.values()) - set(names.values()))
    if missing:
        raise InputError(f"{source.directory}: holds no tensor {missing[0]}")
    return names


def write_checkpoint(
    source: Checkpoint, model: PreTrainedModel, trained: Set[str], directory: Path
) -> Checkpoint:
    """Write `model` into `directory` with the layout of `source`, and return the checkpoint.

    Each tensor is stored in the dtype that it has in `source`. Tensors that are not in `trained`,
    tokenizer, chat template and configs are copied unchanged.
    """
    names = stored_names(source, model)
    parameters = dict(model.named_parameters())
    values = {
        name: parameters[parameter].detach()
        for name, parameter in names.items()
        if parameter in trained
    }
    return _write(source, values, directory)


def write_changed(
    source: Checkpoint, changes: Mapping[str, torch.Tensor], directory: Path
) -> Checkpoint:
    """Write `source` with `changes` added to some of its tensors, in fp32 and rounded once.

    Raises InputError for a change of a tensor that `source` does not have.
    """
    unknown = sorted(set(changes) - set(source.headers()))
    if unknown:
        raise InputError(f"{source.directory}: holds no tensor {unknown[0]}")
    values = {name: source.tensor(name).float() + change for name, change in changes.items()}
    return _write(source, values, directory)


def _write(source: Checkpoint, values: Mapping[str, torch.Tensor], directory: Path) -> Checkpoint:
    with source.open_weights() as weights:
        for file, headers in source.shards().items():
            with TensorWriter(directory / file, headers) as writer:
                for name, (dtype, shape) in sorted(headers.items()):
                    if name not in values:
                        writer.write(name, read_tensor(weights, name))
                        continue
                    assert tuple(values[name].shape) == shape, name
                    rounded = values[name].to(DTYPES[dtype])
                    if not bool(torch.isfinite(rounded).all()):
                        problem = f"is not finite in {dtype}: lower learning_rate"
                        raise InputError(f"after training, {name} {problem}")
                    writer.write(name, rounded)
    if index := checkpoint_files(source.directory).index:
        shutil.copyfile(source.directory / index, directory / index)
    source.copy_companions(directory)
    return Checkpoint(directory)
