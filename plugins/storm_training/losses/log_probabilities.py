"""Log-probabilities of given tokens at every position, as preference losses need them."""

from __future__ import annotations

from typing import Any

import torch

from storm_training.losses.cross_entropy import subtract_at
from storm_training.losses.head import Gradients, Head, chunks


def log_probabilities(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    """Return log p(label) for every position, fp32 [n].

    `hidden` is [n, hidden] and `labels` [n]. The gradient of each position is known only in the
    backward pass, which computes the logits again.
    """
    log_probs: torch.Tensor = _LogProbabilities.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, head.bias, labels, head.scale, head.softcap
    )
    return log_probs


class _LogProbabilities(torch.autograd.Function):
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
        label_logits = torch.empty(len(labels), dtype=head.wide(), device=hidden.device)
        normalisers = torch.empty_like(label_logits)
        for chunk in chunks(len(labels), len(weight), hidden.device):
            logits = head.logits(states[chunk])
            normalisers[chunk] = logits.logsumexp(1)
            label_logits[chunk] = logits.gather(1, labels[chunk].unsqueeze(1)).squeeze(1)
        ctx.save_for_backward(states, head.weight, bias, labels, normalisers)
        ctx.head = (scale, softcap)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return label_logits - normalisers

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, weight, bias, labels, normalisers = ctx.saved_tensors
        head = Head(weight, bias, *ctx.head)
        gradients = Gradients(states, head, ctx.needs_input_grad[:3])
        for chunk in chunks(len(labels), len(weight), states.device):
            logits = head.logits(states[chunk])
            slope = head.slope(logits)
            grad_logits = logits.sub_(normalisers[chunk].unsqueeze(1)).exp_()
            grad_logits = subtract_at(grad_logits, labels[chunk], 1.0)
            gradients.add(chunk, grad_logits.mul_(-grad_output[chunk].unsqueeze(1)), slope)
        return (*gradients.scaled(grad_output.new_ones(()), ctx.dtypes), *[None] * 3)
