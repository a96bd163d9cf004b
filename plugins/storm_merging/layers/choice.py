"""Which arithmetic merges a tensor: weights of a sum where the method gives one, else a kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from storm_merging.kernels.elementwise import (
    ArceeFusion,
    Nearswap,
    RowModelStock,
    Sce,
    VectorSlerp,
)
from storm_merging.kernels.kernel import Kernel, SinglePass
from storm_merging.kernels.products import (
    COLINEAR,
    Products,
    arc,
    cosine,
    karcher_mean,
    model_stock,
    nuslerp,
)
from storm_merging.kernels.sparsification import (
    LargestChanges,
    RandomChanges,
    RankedRandomChanges,
    Sparsifier,
)
from storm_merging.kernels.task_vectors import SparseTaskVectors
from storm_merging.layers.output_tensor import SMALLEST, OutputTensor

_MEASURED = ("slerp", "nuslerp", "model_stock", "karcher")
_SUMS = ("linear", "passthrough", "task_arithmetic", *_MEASURED)


class WeightedSum(SinglePass):
    """Σ coefficient · tensor."""

    def __init__(self, coefficients: Sequence[float]) -> None:
        """`coefficients` holds a number per tensor."""
        self._coefficients = coefficients

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the sum."""
        pairs = [(c, t) for c, t in zip(self._coefficients, tensors, strict=True) if c != 0.0]
        total = torch.zeros_like(tensors[0])
        for place, (coefficient, tensor) in enumerate(pairs):
            total = coefficient * tensor if place == 0 else total + coefficient * tensor
        return total


def is_sum(method: str, tensor: OutputTensor, shape: Sequence[int]) -> bool:
    """Return whether the method gives a weighted sum of whole tensors."""
    if method not in _SUMS or len(shape) < 2:
        return method in _SUMS
    by_row = method == "model_stock" and tensor.shared["filter_wise"]
    return not by_row and not (method == "nuslerp" and not tensor.shared["nuslerp_flatten"])


def is_measured(method: str, tensor: OutputTensor, shape: Sequence[int]) -> bool:
    """Return whether the weights of the sum follow from inner products of the tensors."""
    return method in _MEASURED and is_sum(method, tensor, shape)


def product_base(method: str, tensor: OutputTensor) -> int | None:
    """Return the source from which the vectors that are measured are differences, if any."""
    return tensor.base if method in ("model_stock", "nuslerp") else None


def coefficients(method: str, tensor: OutputTensor, products: Products | None) -> list[float]:
    """Return the weight of each source; `products` are those of a method that is measured."""
    base, shared = tensor.base, tensor.shared
    if method == "passthrough":
        scale = tensor.own[0]["scale"]
        return [1.0 if scale is None else scale]
    if method == "linear":
        weights = tensor.of_others("weight")
        total = sum(weights) if shared["normalize"] else 1.0
        return [weight / total for weight in weights]
    if method == "task_arithmetic":
        weights = tensor.of_others("weight")
        total = sum(weights)
        if shared["normalize"] and abs(total) >= SMALLEST:
            weights = [weight / total for weight in weights]
        return _around(base, [shared["lambda"] * weight for weight in weights])
    assert products is not None
    if method == "karcher":
        return karcher_mean(products, shared["max_iter"], shared["tol"])
    if method == "slerp":
        assert base is not None
        ours, theirs = _slerp(shared["t"], products)
        return [ours, theirs] if base == 0 else [theirs, ours]
    weights = tensor.of_others("weight") if method == "nuslerp" else []
    found = nuslerp(products, weights) if method == "nuslerp" else model_stock(products)
    return found if base is None else _around(base, found)


def kernel(method: str, tensor: OutputTensor, size: int, seed: int) -> Kernel:
    """Return the kernel of a method that gives no sum, for a tensor of `size` elements.

    `seed` determines, with the tensor's name, which changes are kept at random.
    """
    base, shared = tensor.base, tensor.shared
    if method == "nuslerp":
        columns = shared["nuslerp_row_wise"]  # mergekit's name: vectors run along the rows' axis
        return VectorSlerp(base, tensor.of_others("weight"), columns=columns)
    assert base is not None, method
    if method == "model_stock":
        return RowModelStock(base)
    if method == "nearswap":
        return Nearswap(base, shared["t"])
    if method == "arcee_fusion":
        return ArceeFusion(base, size)
    if method == "sce":
        return Sce(base, size, shared["select_topk"])
    return SparseTaskVectors(
        base,
        tensor.of_others("weight"),
        _sparsifiers(method, tensor, size, seed),
        consensus=method in ("ties", "dare_ties", "della", "breadcrumbs_ties"),
        normalise=shared["normalize"],
        rescale=shared["rescale"],
        scale=shared["lambda"],
    )


def _sparsifiers(method: str, tensor: OutputTensor, size: int, seed: int) -> list[Sparsifier]:
    densities = tensor.of_others("density")
    second = {"della": "epsilon", "breadcrumbs": "gamma"}.get(method.partition("_")[0])
    extra = tensor.of_others(second) if second else [0.0] * len(densities)
    seeds = [_seed(seed, tensor.name, place) for place in range(len(densities))]
    if method in ("dare_linear", "dare_ties"):
        return [RandomChanges(*each) for each in zip(densities, seeds, strict=True)]
    if second == "epsilon":
        return [RankedRandomChanges(*each) for each in zip(densities, extra, seeds, strict=True)]
    return [LargestChanges(size, *each) for each in zip(densities, extra, strict=True)]


def _seed(seed: int, name: str, model: int) -> int:
    return int(hashlib.sha256(f"{seed} {name} {model}".encode()).hexdigest()[:8], 16)


def _slerp(t: float, products: Products) -> tuple[float, float]:
    """Return the weights of base and other; `products` are of both, the base first."""
    angle = cosine(products, 0, 1)
    first, second = arc(t, angle) if abs(angle) <= COLINEAR else (1.0 - t, t)
    return first, second


def _around(base: int | None, weights: list[float]) -> list[float]:
    """Return the weights of all tensors, for `weights` of the others' differences to the base."""
    assert base is not None
    return [*weights[:base], 1.0 - sum(weights), *weights[base:]]
