"""Merging tensor by tensor, in pieces, into a file of weights."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch

from storm_exp import InputError, StageContext
from storm_merging.kernels.kernel import Kernel
from storm_merging.kernels.products import InnerProducts
from storm_merging.layers.choice import (
    WeightedSum,
    coefficients,
    is_measured,
    is_sum,
    kernel,
    product_base,
)
from storm_merging.layers.output_tensor import OutputTensor
from storm_models.checkpoint.read_ahead import ReadAhead
from storm_models.checkpoint.weights import Headers, Weights, accumulator
from storm_models.folder.files import WEIGHT_FILE
from storm_models.folder.tensor_file import DTYPES, TensorWriter


class Readable(Protocol):
    """What weights are read from."""

    def open_weights(self) -> AbstractContextManager[Weights]:
        """Open the tensors for reading in pieces."""


class RenamedWeights:
    """A model's tensors under the names that they have in the merge."""

    def __init__(self, weights: Weights, names: Mapping[str, str]) -> None:
        """`names` is {name in the merge: name in the model}."""
        self._weights, self._names = weights, names
        self.headers: Headers = {name: weights.headers[own] for name, own in names.items()}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat."""
        return self._weights.read(self._names[name], start, stop)


def measure_products(
    stage: StageContext, method: str, models: Sequence[Readable], tensors: Sequence[OutputTensor]
) -> dict[str, list[list[float]]]:
    """Return {tensor's name: inner products of its sources}, for tensors of the same sources' sums.

    The base comes first in those of slerp. Raises InputError, naming the tensor, for NaN or
    infinity.
    """
    found = {}
    with (
        _open(models) as opened,
        stage.progress(len(tensors), "tensors", "angles between the models") as progress,
    ):
        for group, sources in _groups(opened, tensors):
            with ReadAhead(sources, [tensor.name for tensor in group]) as ahead:
                for tensor in group:
                    products = InnerProducts(product_base(method, tensor))
                    for _, pieces in ahead.read(tensor.name):
                        if method == "slerp" and tensor.base == 1:
                            pieces = pieces[::-1]
                        products.add(_as_matrices(pieces, 1))
                    matrix = products.matrix()
                    if not all(math.isfinite(value) for row in matrix for value in row):
                        raise InputError(
                            f"{tensor.name} holds NaN or infinity in one of the models"
                        )
                    found[tensor.name] = matrix
                    progress.advance()
    return found


def write_merge(
    stage: StageContext,
    method: str,
    models: Sequence[Readable],
    tensors: Sequence[OutputTensor],
    headers: Headers,
    seed: int,
) -> None:
    """Write the merged tensors into the stage, as `headers` has their dtypes and shapes.

    Memory: a piece of a tensor of every model, and what the method counts. Raises InputError,
    naming the tensor, for NaN, infinity and overflow.
    """
    measured = [
        tensor for tensor in tensors if is_measured(method, tensor, headers[tensor.name][1])
    ]
    products = measure_products(stage, method, models, measured)
    with (
        _open(models) as opened,
        TensorWriter(stage.directory / WEIGHT_FILE, headers) as writer,
        stage.compute(),
        stage.progress(len(tensors), "tensors") as progress,
    ):
        for group, sources in _groups(opened, tensors):
            kernels: dict[str, Kernel] = {}
            for tensor in group:
                shape = headers[tensor.name][1]
                if is_sum(method, tensor, shape):
                    weights = coefficients(method, tensor, products.get(tensor.name))
                    kernels[tensor.name] = WeightedSum(weights)
                else:
                    kernels[tensor.name] = kernel(method, tensor, math.prod(shape), seed)
            order = [name for name, each in kernels.items() for _ in range(each.passes + 1)]
            with ReadAhead(sources, order, whole_rows=True) as ahead:
                for name, each in kernels.items():
                    dtype, shape = headers[name]
                    columns = shape[-1] if shape else 1
                    for number in range(each.passes):
                        each.start(number)
                        for _, pieces in ahead.read(name):
                            each.observe(number, _as_matrices(pieces, columns))
                    each.start(each.passes)
                    for start, pieces in ahead.read(name):
                        merged = each.combine(_as_matrices(pieces, columns)).to(DTYPES[dtype])
                        if not bool(merged.isfinite().all()):
                            raise InputError(
                                f"{name}: merging gives NaN or infinity (a parent holds them, or "
                                f"{DTYPES[dtype]} overflows)"
                            )
                        writer.write(name, merged.flatten(), start)
                    progress.advance()


@contextlib.contextmanager
def _open(models: Sequence[Readable]) -> Iterator[list[Weights]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(model.open_weights()) for model in models]


def _groups(
    opened: Sequence[Weights], tensors: Sequence[OutputTensor]
) -> Iterator[tuple[list[OutputTensor], list[RenamedWeights]]]:
    """Yield tensors in a row that are made of the same models, and those models' weights."""
    for _, each in itertools.groupby(
        tensors, lambda tensor: [source[0] for source in tensor.sources]
    ):
        group = list(each)
        sources = [
            RenamedWeights(
                opened[model], {tensor.name: tensor.sources[place][1] for tensor in group}
            )
            for place, (model, _) in enumerate(group[0].sources)
        ]
        yield group, sources


def _as_matrices(pieces: Sequence[torch.Tensor], columns: int) -> list[torch.Tensor]:
    working = accumulator(*pieces)
    return [piece.to(working).reshape(-1, columns) for piece in pieces]
