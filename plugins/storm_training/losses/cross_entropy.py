"""Cross-entropy of the next token, summed over positions."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from storm_training.losses.chunked_sum import chunked_sum
from storm_training.losses.head import Head


def cross_entropy(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    """Return -Σ log p(label) as an fp32 scalar.

    `hidden` is [n, hidden] and `labels` [n], of supervised positions only. Matrix products are in
    the dtype of `hidden` or autocast's, everything else in fp32. On a CUDA device liger's fused
    kernel computes the same, where it is installed.
    """
    # liger cannot scale logits, divides by zero without labels, and gives no gradient to a head
    # over frozen states.
    fits = head.scale == 1.0 and len(labels) > 0 and hidden.requires_grad
    if hidden.is_cuda and fits and find_spec("liger_kernel"):
        return _by_liger(hidden, head, labels)

    def term(
        chunk: slice, logits: torch.Tensor, with_gradient: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        surprise, normaliser = surprisal(logits, labels[chunk])
        if not with_gradient:
            return [surprise], None
        grad_logits = logits.sub_(normaliser).exp_()
        return [surprise], subtract_at(grad_logits, labels[chunk], 1.0)

    return chunked_sum(hidden, head, term)[0]


def surprisal(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -Σ log p(label), and the log-normalisers [n, 1], of logits [n, vocabulary]."""
    normaliser = logits.logsumexp(1, keepdim=True)
    return (normaliser - logits.gather(1, labels.unsqueeze(1))).sum(), normaliser


def subtract_at(grad_logits: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """Subtract `share` from the entry of every position's label, in place."""
    columns = labels.unsqueeze(1)
    return grad_logits.scatter_add_(1, columns, torch.full_like(grad_logits[:, :1], -share))


def _by_liger(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    states, narrow = head.to_compute(hidden)
    kernel = LigerFusedLinearCrossEntropyLoss(
        reduction="sum", softcap=head.softcap or None, accum_dtype=torch.float32
    )
    loss: torch.Tensor = kernel(narrow.weight, states, labels, narrow.bias)
    return loss.float()
