"""A loss summed over positions with its gradients, computed chunk by chunk of logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from storm_training.losses.head import Gradients, Head, chunks

Term = Callable[[slice, torch.Tensor, bool], tuple[list[torch.Tensor], torch.Tensor | None]]
"""Function (chunk, its logits, whether gradients are needed) → (sums over the chunk, gradient of
the first sum with respect to the logits). It may overwrite the logits."""


def chunked_sum(
    hidden: torch.Tensor, head: Head, term: Term, *, sums: int = 1, width: int = 0
) -> list[torch.Tensor]:
    """Return the `sums` sums of `term` over the positions of `hidden` [n, hidden].

    The first sum has gradients, which are computed in the forward pass, so that logits are computed
    once and never kept; one backward pass uses them up. `width` is the number of logits in memory
    per position (0: the size of the vocabulary).
    """
    arguments = (hidden, head.weight, head.bias, head, term, sums, width)
    return list(_ChunkedSum.apply(*arguments))  # type: ignore[no-untyped-call]


class _ChunkedSum(torch.autograd.Function):
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
            chunk_sums, grad_logits = term(chunk, logits, any(wanted))
            total += torch.stack(chunk_sums)
            if grad_logits is not None:
                gradients.add(chunk, grad_logits, slope)
        ctx.gradients = gradients
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        loss, *others = (part.clone() for part in total)
        ctx.mark_non_differentiable(*others)
        return loss, *others

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the backward pass of this loss ran before: compute the loss again")
        return (*gradients.scaled(grad_output, ctx.dtypes), *[None] * 4)
