"""Writing of GGUF files: metadata first, then tensors, piece by piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from storm_exp import InputError
from storm_export.gguf.blocks import encode
from storm_export.gguf.formats import FILE_TYPES, GgufType
from storm_export.gguf.tensors import GgufTensor
from storm_models.checkpoint.weights import Weights

_PIECE = 1 << 20
"""Number of weights in memory at a time."""


@dataclasses.dataclass(frozen=True)
class GgufContents:
    """Contents that a model's files of all types share."""

    architecture: str
    keys: Mapping[str, Any]
    """Metadata: integers are unsigned, floats have 32 bits."""
    factors: Mapping[str, Sequence[float]]
    """{tensor name: rotary frequency factors}"""
    tensors: Sequence[GgufTensor]


def write_gguf(
    file: Path,
    contents: GgufContents,
    weights: Weights,
    type_: GgufType,
    advance: Callable[[], None],
) -> dict[str, int]:
    """Write a file with matrices of the given type; return {type: number of tensors}.

    `advance` is called after each tensor. Raises InputError for weights that the type cannot
    represent.
    """
    factors, tensors = contents.factors, contents.tensors
    writer = gguf.GGUFWriter(file, contents.architecture)
    writer.add_file_type(FILE_TYPES[type_])
    for key, value in contents.keys.items():
        _add(writer, key, value)
    for name, values in factors.items():
        writer.add_tensor_info(name, (len(values),), np.dtype(np.float32), 4 * len(values))
    for tensor in tensors:
        kind = gguf.GGMLQuantizationType[tensor.stored_as(type_).name.upper()]
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), tensor.size(type_), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    stream = writer.fout[0]
    try:
        writer.write_padding(stream, stream.tell())
        for values in factors.values():
            stream.write(np.asarray(values, dtype=np.float32).tobytes())
            writer.write_padding(stream, stream.tell())
        for tensor in tensors:
            for rows in _rows(tensor, weights):
                try:
                    stream.write(encode(rows, tensor.stored_as(type_)).data)
                except InputError as error:
                    raise InputError(f"{tensor.source}: {error}") from None
            writer.write_padding(stream, stream.tell())
            advance()
    finally:
        writer.close()
    kinds = [tensor.stored_as(type_).value for tensor in tensors]
    kinds += [GgufType.f32.value] * len(factors)
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def count_types(file: Path) -> dict[str, int]:
    """Return {type: number of tensors} of a file that llama.cpp wrote."""
    kinds = [tensor.tensor_type.name.lower() for tensor in gguf.GGUFReader(file).tensors]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _rows(tensor: GgufTensor, weights: Weights) -> Iterator[torch.Tensor]:
    """Yield a tensor's converted rows in fp32, piece by piece; a vector is one row."""
    columns = tensor.shape[1] if len(tensor.shape) == 2 else 1
    rows, unit = tensor.shape[0], tensor.head_size or 1
    step = max(1, _PIECE // (columns * unit)) * unit
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        values = weights.read(tensor.source, start * columns, stop * columns).float()
        values = values.reshape(stop - start, columns)
        if tensor.head_size:
            values = _interleave(values, tensor.head_size)
        values = values + tensor.offset if tensor.offset else values
        yield values if len(tensor.shape) == 2 else values.reshape(1, -1)


def _interleave(values: torch.Tensor, size: int) -> torch.Tensor:
    """Return the rows with the two halves of each head, of `size` rows, interleaved."""
    heads = values.reshape(-1, 2, size // 2, values.shape[-1])
    return heads.transpose(1, 2).reshape(values.shape)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    """Add one entry; integers are written as unsigned 32-bit numbers, as llama.cpp expects."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
