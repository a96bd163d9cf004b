"""Merges of two or more tensors by a rule for each element or each row."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from storm_merging.kernels.kernel import SinglePass, task_vectors
from storm_merging.kernels.order_statistics import OrderStatistics
from storm_merging.kernels.products import model_stock, nuslerp
from storm_merging.kernels.task_vectors import vote


class Nearswap(SinglePass):
    """base + w · (other − base), with w = min(1, t / |other − base|).

    After "nearswap" by alchemonaut (QuartetAnemoi-70B-t0.0001): elements that nearly agree are
    taken from the other model.
    """

    def __init__(self, base: int, t: float) -> None:
        """`base` is the place of the base among the two tensors."""
        self._base, self._t = base, t

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        (change,) = task_vectors(tensors, self._base)
        share = (self._t / change.abs()).nan_to_num(nan=1.0, posinf=1.0).clamp(0.0, 1.0)
        return tensors[self._base] + share * change


class ArceeFusion:
    """The base, with the most important changes of the other model.

    A change's importance is its size times the divergence of its row, KL of the other model's
    softmax from the base's. Changes whose importance exceeds the tensor's median by 1.5 times the
    range between its quartiles are taken; quartiles are elements, the lower of two.
    """

    passes = OrderStatistics.passes

    def __init__(self, base: int, size: int) -> None:
        """`size` is the number of the tensor's elements."""
        self._base = base
        self._order = OrderStatistics([size - (size - 1) * quarter // 4 for quarter in (1, 2, 3)])
        self._threshold = 0.0

    def start(self, number: int) -> None:
        """Prepare for a pass; before the last one, the threshold is set."""
        self._order.start(number)
        if number == self.passes:
            first, median, third = (self._order.value(which) for which in range(3))
            self._threshold = median + 1.5 * (third - first)

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Count the next changes by importance."""
        self._order.observe(number, self._importance(tensors))

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        (change,) = task_vectors(tensors, self._base)
        return tensors[self._base] + change * (self._importance(tensors) > self._threshold)

    def _importance(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        base, other = tensors[self._base], tensors[1 - self._base]
        ours, theirs = (torch.log_softmax(tensor, dim=-1) for tensor in (base, other))
        divergence = (theirs.exp() * (theirs - ours)).sum(dim=-1, keepdim=True)
        return (other - base).abs() * divergence.clamp_min(0.0)


class Sce:
    """SCE (Wan et al. 2024, arXiv 2408.07990): select, calculate, erase.

    Places whose changes vary most between models are selected, each model's weight is its mean
    square there, and changes of the sign that loses the vote are erased.
    """

    def __init__(self, base: int, size: int, share: float) -> None:
        """`size` is the number of the tensor's elements, `share` that of the places to select."""
        self._base = base
        self._order = OrderStatistics([max(1, int(share * size))]) if share < 1 else None
        self.passes = 1 + (OrderStatistics.passes if self._order else 0)
        self._squares: list[float] = []

    def start(self, number: int) -> None:
        """Prepare for a pass."""
        if self._order:
            self._order.start(min(number, OrderStatistics.passes))

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Count variances, then squares."""
        changes = torch.stack(task_vectors(tensors, self._base))
        if self._order and number < OrderStatistics.passes:
            self._order.observe(number, _variance(changes))
            return
        squares = self._selected(changes).square().sum(dim=(1, 2), dtype=torch.float64).tolist()
        before = self._squares or [0.0] * len(squares)
        self._squares = [a + b for a, b in zip(before, squares, strict=True)]

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        changes = self._selected(torch.stack(task_vectors(tensors, self._base)))
        total = sum(self._squares)
        if total == 0.0:
            return tensors[self._base].clone()
        weights = [square / total for square in self._squares]
        weighted = [weight * change for weight, change in zip(weights, changes, strict=True)]
        return tensors[self._base] + vote(weighted, weights, True, changes.sum(dim=0))

    def _selected(self, changes: torch.Tensor) -> torch.Tensor:
        if self._order is None:
            return changes
        variance = _variance(changes)
        return changes * (self._order.largest(0, variance) & (variance > 0))


class RowModelStock(SinglePass):
    """Model Stock with an angle for each row of a matrix."""

    def __init__(self, base: int) -> None:
        """`base` is the place of the base among the tensors."""
        self._base = base

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        changes = torch.stack(task_vectors(tensors, self._base), dim=1)  # rows, models, columns
        products = changes @ changes.mT
        if not bool(products.isfinite().all()):  # squares overflow fp32
            products = changes.double() @ changes.double().mT
        weights = [model_stock(each)[0] for each in products.tolist()]
        column = torch.tensor(weights, dtype=changes.dtype)[:, None]
        result = tensors[self._base].clone()
        for change in changes.unbind(1):
            result += column * change
        return result


class VectorSlerp:
    """NuSLERP with an angle for each row of a matrix, or for each column.

    With a base, it is the task vectors that are interpolated.
    """

    def __init__(self, base: int | None, weights: Sequence[float], *, columns: bool) -> None:
        """`weights` are those of the two tensors that are not the base."""
        self._base, self._weights, self._columns = base, weights, columns
        self.passes = int(columns)
        self._sums: torch.Tensor | float = 0.0

    def start(self, number: int) -> None:
        """Do nothing."""

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Add up the products of the columns."""
        self._sums = self._sums + _products(self._vectors(tensors), dim=0)

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the merge."""
        first, second = self._vectors(tensors)
        sums = self._sums if self._columns else _products([first, second], dim=-1)
        assert isinstance(sums, torch.Tensor)
        pairs = [
            nuslerp([[a, c], [c, b]], self._weights) for a, b, c in sums.reshape(3, -1).T.tolist()
        ]
        factors = torch.tensor(pairs, dtype=first.dtype).T
        one, two = (factor[None] if self._columns else factor[:, None] for factor in factors)
        merged = one * first + two * second
        result: torch.Tensor = merged if self._base is None else tensors[self._base] + merged
        return result

    def _vectors(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return list(tensors) if self._base is None else task_vectors(tensors, self._base)


def _variance(changes: torch.Tensor) -> torch.Tensor:
    """Return the variance between models, in fp64 as torch's `var` adds it up, and faster."""
    wide = changes.double()
    return (wide - wide.mean(dim=0)).square_().mean(dim=0).to(changes.dtype)


def _products(pair: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
    first, second = pair
    products = (first * first, second * second, first * second)
    return torch.stack([product.sum(dim=dim, dtype=torch.float64) for product in products])
