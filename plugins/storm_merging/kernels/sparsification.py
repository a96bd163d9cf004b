"""Which changes of a task vector are kept: the largest, all but the outliers, or random ones."""

from __future__ import annotations

from typing import Protocol

import torch

from storm_merging.kernels.order_statistics import OrderStatistics


class Sparsifier(Protocol):
    """Chooses the changes to keep of one model's task vector, seen in pieces."""

    passes: int

    def start(self, number: int) -> None:
        """Prepare for the pass `number`; the last one, `passes`, may be repeated."""

    def observe(self, number: int, changes: torch.Tensor) -> None:
        """Take the next piece in."""

    def kept(self, changes: torch.Tensor) -> torch.Tensor:
        """Return a mask of the next piece."""


class AllChanges:
    """Keeps everything."""

    passes = 0

    def start(self, number: int) -> None:
        """Do nothing."""

    def observe(self, number: int, changes: torch.Tensor) -> None:
        """Do nothing."""

    def kept(self, changes: torch.Tensor) -> torch.Tensor:
        """Return a mask of ones."""
        return torch.ones_like(changes, dtype=torch.bool)


class LargestChanges:
    """Keeps a share of the changes, the largest; of those, it may drop the very largest.

    TIES (Yadav et al. 2023, arXiv 2306.01708) keeps `density`; Model Breadcrumbs (Davari and
    Belilovsky 2023, arXiv 2312.06795) also drops a share `gamma` of outliers. Counts are rounded
    down, at least one is kept, and outliers are dropped only so far as `density` remains.
    """

    passes = OrderStatistics.passes

    def __init__(self, size: int, density: float, gamma: float = 0.0) -> None:
        """`size` is the number of the tensor's elements."""
        keep = max(1, int(density * size)) if density > 0 else 0
        drop = min(int(gamma * size), size - keep)
        self._drops = drop > 0
        self._order = OrderStatistics([drop + keep if keep else 0, *([drop] if drop else [])])

    def start(self, number: int) -> None:
        """Prepare for a pass."""
        self._order.start(number)

    def observe(self, number: int, changes: torch.Tensor) -> None:
        """Count the next changes by their magnitudes."""
        self._order.observe(number, changes.abs())

    def kept(self, changes: torch.Tensor) -> torch.Tensor:
        """Return which of the next changes are kept."""
        size = changes.abs()
        kept = self._order.largest(0, size)
        return kept & ~self._order.largest(1, size) if self._drops else kept


class RandomChanges:
    """Keeps each change with the same probability (DARE, Yu et al. 2023, arXiv 2311.03099)."""

    passes = 0

    def __init__(self, density: float, seed: int) -> None:
        """`seed` determines the choice, which is the same in every pass."""
        self._density, self._seed = density, seed
        self._generator = torch.Generator()

    def start(self, number: int) -> None:
        """Begin the sequence of random numbers again."""
        self._generator.manual_seed(self._seed)

    def observe(self, number: int, changes: torch.Tensor) -> None:
        """Do nothing."""

    def kept(self, changes: torch.Tensor) -> torch.Tensor:
        """Return which of the next changes are kept."""
        return torch.rand(changes.shape, generator=self._generator) < self.probability(changes)

    def probability(self, changes: torch.Tensor) -> torch.Tensor | float:
        """Return the probability of each change."""
        return self._density


class RankedRandomChanges(RandomChanges):
    """Keeps larger changes of a row with a higher probability.

    DELLA (Deep et al. 2024, arXiv 2406.11617): linear in the rank within the row, from density -
    epsilon for the smallest to density + epsilon for the largest.
    """

    def __init__(self, density: float, epsilon: float, seed: int) -> None:
        """`seed` determines the choice."""
        super().__init__(density, seed)
        self._epsilon = epsilon

    def probability(self, changes: torch.Tensor) -> torch.Tensor | float:
        """Return the probability of each change."""
        columns = changes.shape[-1]
        if columns == 1 or not 0 < self._density < 1:
            return self._density
        ranks = changes.abs().argsort(dim=-1).argsort(dim=-1)
        low = self._density - self._epsilon
        return low + 2 * self._epsilon * ranks.to(changes.dtype) / (columns - 1)
