"""A loss summed over positions, with its gradients, from one chunk of logits after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from storm_training.losses.head import Gradients, Head, chunks

Term = Callable[[slice, torch.Tensor, bool], tuple[list[torch.Tensor], torch.Tensor | None]]
"""What a chunk of the positions adds: from its place, its logits (which may be used up), and
whether gradients are wanted, to sums and the derivative of the first of them by the logits."""


def summed(
    hidden: torch.Tensor, head: Head, term: Term, *, sums: int = 1, width: int = 0
) -> list[torch.Tensor]:
    """Return what a `term` adds up to over the positions of `hidden` [n, hidden].

    The first of its `sums` has gradients. They are computed with it, chunk by chunk, so that logits
    are computed once and never kept; one backward pass uses them up. `width` is how many logits a
    position takes (the vocabulary, unless it is given).
    """
    given = (hidden, head.weight, head.bias, head, term, sums, width)
    return list(_Summed.apply(*given))  # type: ignore[no-untyped-call]


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        head: Head,
        term: Term,
        sums: int,
        width: int,
    ) -> tuple[torch.Tensor, ...]:
        states, head = head._replace(weight=weight, bias=bias).to_compute(hidden)
        wanted = ctx.needs_input_grad[:3]
        gradients = Gradients(states, head, wanted)
        total = torch.zeros(sums, dtype=head.wide(), device=hidden.device)
        for chunk in chunks(len(hidden), width or len(weight), hidden.device):
            logits = head.logits(states[chunk])
            slope = head.slope(logits) if any(wanted) else 1.0
            found, by_logits = term(chunk, logits, any(wanted))
            total += torch.stack(found)
            if by_logits is not None:
                gradients.add(chunk, by_logits, slope)
        ctx.gradients = gradients
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        loss, *others = (part.clone() for part in total)
        ctx.mark_non_differentiable(*others)
        return loss, *others

    @staticmethod
    def backward(ctx: Any, above: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("this loss has had its backward pass: compute it again")
        return (*gradients.scaled(above, ctx.dtypes), *[None] * 4)
