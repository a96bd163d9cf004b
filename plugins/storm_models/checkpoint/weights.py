"""The tensors of a checkpoint, read in pieces from files or computed as weighted sums."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch

from storm_exp import InputError
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.folder.tensor_file import DTYPES, TensorReader

PIECE = 1 << 18
"""Elements of a tensor in memory at a time, per parent; they fit a processor's cache."""

Headers = Mapping[str, tuple[str, tuple[int, ...]]]
"""{tensor name: (safetensors dtype, shape)}"""


class Weights(Protocol):
    """Tensors by name, each read on request."""

    headers: Headers

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat: shape (stop - start,)."""


class FileWeights:
    """Tensors in safetensors files."""

    def __init__(
        self, headers: Headers, files: Mapping[str, Path], stack: contextlib.ExitStack
    ) -> None:
        """`files` maps each tensor to its file; opened files are closed by `stack`."""
        self.headers = headers
        self._files = files
        self._stack = stack
        self._readers: dict[Path, TensorReader] = {}

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat."""
        file = self._files[name]
        if file not in self._readers:
            self._readers[file] = self._stack.enter_context(TensorReader(file))
        return self._readers[file].read(name, start, stop)


class SumWeights:
    """Tensors that are weighted sums of the parents' tensors."""

    def __init__(
        self,
        headers: Headers,
        coefficients: Mapping[str, Sequence[float]],
        parents: Sequence[Weights],
        names: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        """`coefficients` holds a number per parent for every tensor.

        `names` are those of tensors that are not named the same in all parents; None: not made of
        that parent.
        """
        self._names = names or {}
        self.headers = headers
        self._coefficients = coefficients
        self._parents = parents
        self._kept = threading.local()  # transformers reads in several threads

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the elements, flat; raises InputError for NaN, infinity or overflow."""
        coefficients = self._coefficients[name]
        names = self._names.get(name) or [name] * len(coefficients)
        known = [(i, own) for i, own in enumerate(names) if own is not None]
        pairs = [(i, own) for i, own in known if coefficients[i]] or known[:1]
        used = [i for i, _ in pairs]
        tensors = [self._parents[i].read(own, start, stop) for i, own in pairs]
        dtype = DTYPES[self.headers[name][0]]
        buffers = self._room(stop - start, accumulator(*tensors))
        total = weighted_sum([coefficients[i] for i in used], tensors, dtype, buffers)
        if not math.isfinite(float(total.sum())) and not bool(total.isfinite().all()):
            raise InputError(
                f"{name}: merging gives NaN or infinity (a parent holds them, or {dtype} overflows)"
            )
        return total

    def _room(self, size: int, working: torch.dtype) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return two tensors of `size` elements, which this thread uses again for every piece.

        New ones would be new pages of memory each time, which take longer than the sum.
        """
        if size > PIECE:
            return None
        buffers: dict[torch.dtype, torch.Tensor] = self._kept.__dict__.setdefault("buffers", {})
        if working not in buffers:
            buffers[working] = torch.empty((2, PIECE), dtype=working)
        return buffers[working][0, :size], buffers[working][1, :size]


def pieces(size: int, row: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the intervals [start, stop) in which a tensor of `size` elements is processed.

    They end where a row of `row` elements does.
    """
    step = max(1, PIECE // row) * row
    for start in range(0, size, step):
        yield start, min(start + step, size)


def read_tensor(weights: Weights, name: str) -> torch.Tensor:
    """Return a whole tensor in its shape."""
    dtype, shape = weights.headers[name]
    size = math.prod(shape)
    if isinstance(weights, FileWeights):
        return weights.read(name, 0, size).reshape(shape)
    tensor = torch.empty(size, dtype=DTYPES[dtype])
    for start, stop in pieces(size):
        tensor[start:stop] = weights.read(name, start, stop)
    return tensor.reshape(shape)


def weighted_sum(
    coefficients: Sequence[float],
    tensors: Sequence[torch.Tensor],
    dtype: torch.dtype,
    buffers: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return Σ coefficient · tensor, in fp32 (fp64 for fp64 input), rounded once to `dtype`.

    A tensor whose coefficient is 0 is skipped and a single one with coefficient 1 is copied, so the
    ends of an interpolation give the parents bit by bit. Products are rounded before they are
    added: fused, their last bits would differ between machines, and between the ends of a piece and
    its middle. `buffers`, of the tensors' shape and the working dtype, are overwritten.
    """
    working = accumulator(*tensors)
    if buffers is None:
        first = tensors[0]
        buffers = (torch.empty_like(first, dtype=working), torch.empty_like(first, dtype=working))
    total, product = buffers
    pairs = zip(coefficients, tensors, strict=True)
    used = [(coefficient, tensor) for coefficient, tensor in pairs if coefficient != 0.0]
    if not used:
        total.zero_()
    for place, (coefficient, tensor) in enumerate(used):
        if place == 0:
            total.copy_(tensor).mul_(coefficient)
        else:
            total.add_(product.copy_(tensor).mul_(coefficient))
    return total.to(dtype, copy=True)


def accumulator(*tensors: torch.Tensor) -> torch.dtype:
    """Return the dtype to accumulate in: fp64 if any tensor is fp64, else fp32."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if double else torch.float32


def holds_embedding(weights: Weights) -> bool:
    """Return whether the stored head equals the embedding; the weights must hold a head."""
    return all(
        bool((weights.read(HEAD, *piece) == weights.read(EMBEDDING, *piece)).all())
        for piece in pieces(math.prod(weights.headers[HEAD][1]))
    )
