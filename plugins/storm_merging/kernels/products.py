"""Weights of a merge that follow from the inner products of its tensors, which are measured first.

Every method here gives a weighted sum of the parents' tensors. `products` is the matrix of inner
products of the tensors, or of their differences to the base, in fp64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch

from storm_merging.kernels.kernel import task_vectors

COLINEAR = 0.9995
"""Above this |cosine|, SLERP interpolates two tensors linearly (mergekit 0.1.5)."""
_ON_A_LINE = 1 - 1e-9
"""Above this |cosine|, there is no arc between two directions."""
_NO_ANGLE = 1e-8
"""Radians, or a length: below this, two directions are one."""

Products = Sequence[Sequence[float]]


class InnerProducts:
    """The matrix of inner products of several tensors, summed piece by piece."""

    def __init__(self, base: int | None) -> None:
        """With a `base`, the products are those of the differences to that tensor."""
        self._base = base
        self._sums: torch.Tensor | float = 0.0

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Add the next piece of all tensors, in fp32 or fp64."""
        flat = [tensor.flatten() for tensor in tensors]
        vectors = torch.stack(flat if self._base is None else task_vectors(flat, self._base))
        sums = vectors @ vectors.T
        if not bool(sums.isfinite().all()):  # squares overflow fp32
            sums = vectors.double() @ vectors.double().T
        self._sums = self._sums + sums.double()

    def matrix(self) -> list[list[float]]:
        """Return the products."""
        assert isinstance(self._sums, torch.Tensor)
        result: list[list[float]] = self._sums.tolist()
        return result


def cosine(products: Products, i: int, j: int) -> float:
    """Return the cosine of the angle between two vectors; 0 where one of them is 0."""
    length = math.sqrt(max(0.0, products[i][i])) * math.sqrt(max(0.0, products[j][j]))
    return max(-1.0, min(1.0, products[i][j] / length)) if length > 0 else 0.0


def nuslerp(products: Products, weights: Sequence[float]) -> list[float]:
    """Return the weights of two vectors on the arc between them.

    The second's share is its weight in the sum of both, one half where they sum to 0.
    """
    total = weights[0] + weights[1]
    t = weights[1] / total if abs(total) > _NO_ANGLE else 0.5
    return arc(t, cosine(products, 0, 1))


def arc(t: float, cosine: float) -> list[float]:
    """Return sin((1−t)θ)/sin θ and sin(tθ)/sin θ; 1−t and t for vectors on one line."""
    if abs(cosine) > _ON_A_LINE:
        return [1.0 - t, t]
    theta = math.acos(cosine)
    return [math.sin((1.0 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)]


def model_stock(products: Products) -> list[float]:
    """Return the weight of each task vector (Model Stock, Jang et al. 2024, arXiv 2403.19522).

    t/N with t = N·c / (1 + (N−1)·c), where c is the mean cosine of pairs of the N task vectors.
    """
    count = len(products)
    pairs = [cosine(products, i, j) for i, j in itertools.combinations(range(count), 2)]
    mean = sum(pairs) / len(pairs)
    divisor = 1.0 + (count - 1) * mean
    share = mean / divisor if abs(divisor) > _NO_ANGLE else 0.0
    return [share] * count


def karcher_mean(products: Products, iterations: int, tolerance: float) -> list[float]:
    """Return the weights of vectors in the mean of their directions on the sphere.

    The mean (H. Karcher 1977) is found step by step: by the mean of the logarithms at the point
    reached, until its length is below `tolerance`. Its length is the mean of the vectors' lengths;
    vectors of length 0 have no direction, and count in the mean of lengths only.
    """
    lengths = [math.sqrt(max(0.0, products[i][i])) for i in range(len(products))]
    used = [i for i, length in enumerate(lengths) if length > 0]
    if not used:
        return [0.0] * len(products)
    unit = torch.tensor([[cosine(products, i, j) for j in used] for i in used]).double()
    size = math.sqrt(max(0.0, float(unit.sum())))
    point = torch.full((len(used),), 1.0 / size if size > _NO_ANGLE else 1.0).double()
    if size <= _NO_ANGLE:
        point = torch.eye(len(used), dtype=torch.float64)[0]
    for _ in range(iterations):
        cosines = (unit @ point).clamp(-1.0, 1.0)
        angles = torch.arccos(cosines)
        factors = torch.where(angles > _NO_ANGLE, angles / torch.sin(angles), 0.0) / len(used)
        step = factors - (factors * cosines).sum() * point
        length = math.sqrt(max(0.0, float(step @ unit @ step)))
        if length < tolerance:
            break
        point = math.cos(length) * point + math.sin(length) / length * step
    radius = sum(lengths) / len(lengths)
    coefficients = [0.0] * len(products)
    for place, i in enumerate(used):
        coefficients[i] = radius * float(point[place]) / lengths[i]
    return coefficients
