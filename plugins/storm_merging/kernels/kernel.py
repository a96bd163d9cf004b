"""What a kernel is: arithmetic on a tensor that is read in pieces, several times if need be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch


class Kernel(Protocol):
    """Merges the tensors of one name.

    Each piece comes as one matrix per source, (rows, columns), in fp32 or fp64; a vector is a
    matrix of one row. `observe` sees all pieces `passes` times, then `combine` sees them once, in
    the same order.
    """

    passes: int

    def start(self, number: int) -> None:
        """Prepare for the pass `number`, from 0; the one numbered `passes` is that of `combine`."""

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Take the next piece in."""

    def combine(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the next piece of the result."""


class SinglePass:
    """A kernel that needs to see nothing before it combines."""

    passes = 0

    def start(self, number: int) -> None:
        """Do nothing."""

    def observe(self, number: int, tensors: Sequence[torch.Tensor]) -> None:
        """Do nothing."""


def task_vectors(tensors: Sequence[torch.Tensor], base: int) -> list[torch.Tensor]:
    """Return the differences to the base of all tensors but the base."""
    return [tensor - tensors[base] for i, tensor in enumerate(tensors) if i != base]
