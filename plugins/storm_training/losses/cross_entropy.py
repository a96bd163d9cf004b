"""Cross-entropy of the next token, summed over positions."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from storm_training.losses.head import Gradients, Head, pieces


def cross_entropy(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    """Return -Σ log p(label) as an fp32 scalar.

    `hidden` is [n, hidden] and `labels` [n], of supervised positions only. Products are in the
    dtype of `hidden` or autocast's, all else in fp32. Gradients are computed with the loss, piece
    by piece, so that logits are computed once. On a CUDA device liger's kernel does the same, where
    it is installed.
    """
    if hidden.is_cuda and head.scale == 1.0 and find_spec("liger_kernel"):
        return _by_liger(hidden, head, labels)
    loss: torch.Tensor = _CrossEntropy.apply(
        hidden, head.weight, head.bias, labels, head.scale, head.softcap
    )
    return loss


def _by_liger(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    states, narrow = head.to_compute(hidden)
    kernel = LigerFusedLinearCrossEntropyLoss(
        reduction="sum", softcap=head.softcap or None, accum_dtype=torch.float32
    )
    loss: torch.Tensor = kernel(narrow.weight, states, labels, narrow.bias)
    return loss.float()


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        scale: float,
        softcap: float,
    ) -> torch.Tensor:
        states, head = Head(weight, bias, scale, softcap).to_compute(hidden)
        wanted = ctx.needs_input_grad[:3]
        gradients = Gradients(states, head, wanted)
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        total = torch.zeros((), dtype=wide, device=hidden.device)
        for piece in pieces(len(labels), len(weight)):
            logits, label = head.logits(states[piece]), labels[piece].unsqueeze(1)
            normaliser = logits.logsumexp(1, keepdim=True)
            total += (normaliser - logits.gather(1, label)).sum()
            if any(wanted):
                slope = head.slope(logits)
                by_logits = logits.sub_(normaliser).exp_()
                by_logits.scatter_add_(1, label, torch.full_like(normaliser, -1.0))
                gradients.add(piece, by_logits, slope)
        ctx.gradients = gradients
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, above: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (*scaled(ctx.gradients, above, ctx.dtypes), None, None, None)


def scaled(
    gradients: Gradients, above: torch.Tensor, dtypes: tuple[torch.dtype | None, ...]
) -> list[torch.Tensor | None]:
    """Return the gradients of hidden states, weight and bias, times that of the loss, in place."""
    found = []
    for gradient, dtype in zip(
        (gradients.hidden, gradients.weight, gradients.bias), dtypes, strict=True
    ):
        if gradient is None:
            found.append(None)
        else:
            found.append(gradient.mul_(above.to(gradient.dtype)).to(dtype))
    return found
