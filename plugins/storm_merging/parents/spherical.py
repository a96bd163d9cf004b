"""The angle between two tensors, and the coefficients of their spherical interpolation."""

from __future__ import annotations

import dataclasses
import math

import torch

from storm_merging.kernels.products import COLINEAR
from storm_models.checkpoint.weights import accumulator

_SMALLEST_NORM = 1e-8


@dataclasses.dataclass
class Angle:
    """Norms and angle of a pair of tensors, accumulated piece by piece.

    They do not depend on t: with them, every interpolation is a weighted sum.
    """

    square_a: float = 0.0
    square_b: float = 0.0
    product: float = 0.0

    def add(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """Add the next piece of both tensors, flat and of equal length.

        Computed in fp32 (fp64 for fp64 input); pieces are summed in fp64.
        """
        a, b = a.to(accumulator(a, b)), b.to(accumulator(a, b))
        sums = _products(a, b)
        if not all(math.isfinite(value) for value in sums):  # squares overflow fp32
            sums = _products(a.double(), b.double())
        self.square_a += sums[0]
        self.square_b += sums[1]
        self.product += sums[2]

    @property
    def finite(self) -> bool:
        """Whether neither tensor contains NaN or infinity."""
        return math.isfinite(self.square_a) and math.isfinite(self.square_b)

    @property
    def cosine(self) -> float:
        """The cosine of the angle, in [-1, 1]; 0 when a tensor is zero."""
        length = _length(self.square_a) * _length(self.square_b)
        return max(-1.0, min(1.0, self.product / length))

    @property
    def degrees(self) -> float:
        """The angle in degrees."""
        return math.degrees(math.acos(self.cosine))

    @property
    def spherical(self) -> bool:
        """Whether the tensors are interpolated spherically, not being nearly colinear."""
        return abs(self.cosine) <= COLINEAR


def slerp_coefficients(t: float, angle: Angle) -> tuple[float, float]:
    """Return the weights of a and b for spherical interpolation, as mergekit 0.1.5 computes it.

    sin((1−t)θ)/sin θ and sin(tθ)/sin θ, for tensors that are not normalised; 1−t and t for nearly
    colinear pairs.
    """
    if not angle.spherical:
        return 1.0 - t, t
    theta = math.acos(angle.cosine)
    return math.sin((1.0 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)


def _length(square: float) -> float:
    length = math.sqrt(square)
    return length if length > _SMALLEST_NORM else 1.0


def _products(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float, float]:
    return float(torch.dot(a, a)), float(torch.dot(b, b)), float(torch.dot(a, b))
