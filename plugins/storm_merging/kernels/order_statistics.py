"""The largest of a tensor's values, found exactly from pieces of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_LOW = 16
"""Lower bits of a number, which the second pass counts."""


class OrderStatistics:
    """The k largest of a stream of numbers >= 0, for several k, found in two passes.

    The bits of fp32 numbers >= 0 have their order: the first pass counts their upper 16 bits, the
    second the lower 16 bits of those in the bin that holds the k-th. Of equal numbers at the border
    the first ones count as larger, so that the k largest are exactly k.
    """

    passes = 2

    def __init__(self, counts: Sequence[int]) -> None:
        """`counts` holds each k, from 0 to all of the numbers."""
        self._counts = list(counts)
        self._upper = torch.zeros(1 << 15, dtype=torch.int64)
        self._lower: dict[int, torch.Tensor] = {}
        self._bins: list[tuple[int, int]] = []
        self._borders: list[tuple[int, int]] = []
        self._seen = [0] * len(counts)

    def start(self, number: int) -> None:
        """Prepare for a pass; after the second one the borders are known."""
        if number == 1:
            self._bins = [_bin_of(self._upper, count) for count in self._counts]
            self._lower = {bin: torch.zeros(1 << _LOW, dtype=torch.int64) for bin, _ in self._bins}
        elif number == 2:
            self._borders = []
            for bin, above in self._bins:
                low, still = _bin_of(self._lower[bin], above)
                self._borders.append(((bin << _LOW) + low, still))
        self._seen = [0] * len(self._counts)

    def observe(self, number: int, values: torch.Tensor) -> None:
        """Count the next numbers."""
        bits = _bits(values)
        upper = bits >> _LOW
        if number == 0:
            self._upper += torch.bincount(upper, minlength=len(self._upper))
        elif number == 1:
            for bin, counts in self._lower.items():
                lower = bits[upper == bin] & ((1 << _LOW) - 1)
                counts += torch.bincount(lower, minlength=len(counts))

    def value(self, which: int) -> float:
        """Return the smallest of the k largest, for the `which`-th k."""
        border = torch.tensor([self._borders[which][0]], dtype=torch.int32)
        return float(border.view(torch.float32))

    def largest(self, which: int, values: torch.Tensor) -> torch.Tensor:
        """Return which of the next numbers are among the k largest, for the `which`-th k."""
        border, equal = self._borders[which]
        if self._counts[which] == 0:
            return torch.zeros_like(values, dtype=torch.bool)
        bits, left = _bits(values), equal - self._seen[which]
        mask = bits > border
        if left > 0:
            at_border = bits == border
            count = int(at_border.sum())
            self._seen[which] += count
            if count > left:
                at_border[at_border.nonzero().flatten()[left:]] = False
            mask |= at_border
        return mask.reshape(values.shape)


def _bits(values: torch.Tensor) -> torch.Tensor:
    return values.float().contiguous().view(torch.int32).flatten()


def _bin_of(histogram: torch.Tensor, count: int) -> tuple[int, int]:
    """Return the bin that holds the `count`-th largest number, and its place in it, from 1."""
    from_above = histogram.flip(0).cumsum(0)
    place = int(torch.searchsorted(from_above, max(1, count)))
    place = min(place, len(histogram) - 1)
    before = int(from_above[place - 1]) if place else 0
    return len(histogram) - 1 - place, max(1, count) - before
