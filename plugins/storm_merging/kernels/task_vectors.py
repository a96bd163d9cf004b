"""The base plus a sum of sparse task vectors, with or without a vote on the signs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from storm_merging.kernels.kernel import task_vectors
from storm_merging.kernels.sparsification import Sparsifier

_SMALLEST = 1e-8
"""A divisor below this counts as 1 (mergekit 0.1.5)."""


class SparseTaskVectors:
    """base + scale · Σ weight · kept changes.

    With `consensus`, changes whose sign differs from that of the weighted sum at their place are
    left out (TIES, arXiv 2306.01708). `normalise` divides by the weights of those that are left,
    `rescale` scales a model's kept changes up to the L1 norm of all its changes.
    """

    def __init__(
        self,
        base: int,
        weights: Sequence[float],
        sparsifiers: Sequence[Sparsifier],
        *,
        consensus: bool,
        normalise: bool,
        rescale: bool,
        scale: float,
    ) -> None:
        """`weights` and `sparsifiers` are those of the tensors but the base, in order."""
        self._base, self._weights, self._sparsifiers = base, weights, sparsifiers
        self._consensus, self._normalise, self._scale = consensus, normalise, scale
        self._before = max(sparsifier.passes for sparsifier in sparsifiers)
        self.passes = self._before + rescale
        self._norms = [[0.0, 0.0] for _ in sparsifiers] if rescale else []

    def start(self, number: int) -> None:
        """Prepare for a pass."""
        for sparsifier in self._sparsifiers:
            sparsifier.start(min(number, sparsifier.passes))

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Count changes, then their norms."""
        changes = task_vectors(tensors, self._base)
        for i, (sparsifier, change) in enumerate(zip(self._sparsifiers, changes, strict=True)):
            if number < self._before:
                sparsifier.observe(number, change)
            else:
                size = change.abs()
                self._norms[i][0] += float(size.sum(dtype=torch.float64))
                kept = size.mul_(sparsifier.kept(change))
                self._norms[i][1] += float(kept.sum(dtype=torch.float64))

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        changes = task_vectors(tensors, self._base)
        for i, (sparsifier, change) in enumerate(zip(self._sparsifiers, changes, strict=True)):
            change.mul_(sparsifier.kept(change))
            change.mul_(self._weights[i] * self._rescaling(i))
        total = vote(changes, self._weights, self._normalise) if self._consensus else sum(changes)
        assert isinstance(total, torch.Tensor)
        if self._normalise and not self._consensus:
            divisor = sum(self._weights)
            total = total / (divisor if abs(divisor) >= _SMALLEST else 1.0)
        return tensors[self._base] + self._scale * total

    def _rescaling(self, i: int) -> float:
        if not self._norms or self._norms[i][1] == 0.0:
            return 1.0
        return self._norms[i][0] / self._norms[i][1]


def vote(
    changes: Sequence[torch.Tensor],
    weights: Sequence[float],
    normalise: bool,
    signs: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the sum of the weighted `changes` of the sign that wins, at every place.

    The sign of `signs` wins, by default that of the sum; a sum of 0 counts as positive. With
    `normalise` it is divided by the `weights` of the changes that are summed.
    """
    agreed = signs if signs is not None else sum(changes)
    assert isinstance(agreed, torch.Tensor)
    winner = (agreed >= 0).to(agreed.dtype).mul_(2.0).sub_(1.0)
    total, divisor = torch.zeros_like(agreed), torch.zeros_like(agreed)
    for weight, change in zip(weights, changes, strict=True):
        size = (change * winner).clamp_min_(0.0)  # a change that loses has the size 0
        total += size
        if normalise:
            divisor += (size > 0).to(size.dtype).mul_(weight)
    total *= winner
    if not normalise:
        return total
    return total.div_(divisor.masked_fill_(divisor.abs() < _SMALLEST, 1.0))
