"""Cross-entropy of the next token, summed over positions."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from storm_training.losses.head import Head
from storm_training.losses.summing import summed


def cross_entropy(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    """Return -Σ log p(label) as an fp32 scalar.

    `hidden` is [n, hidden] and `labels` [n], of supervised positions only. Products are in the
    dtype of `hidden` or autocast's, all else in fp32. On a CUDA device liger's kernel does the
    same, where it is installed.
    """
    # liger scales no logits, divides by a count of zero, and leaves a head that trains over frozen
    # states without a gradient.
    fits = head.scale == 1.0 and len(labels) > 0 and hidden.requires_grad
    if hidden.is_cuda and fits and find_spec("liger_kernel"):
        return _by_liger(hidden, head, labels)

    def term(
        chunk: slice, logits: torch.Tensor, wanted: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        surprise, normaliser = surprisal(logits, labels[chunk])
        if not wanted:
            return [surprise], None
        by_logits = logits.sub_(normaliser).exp_()
        return [surprise], subtract_at(by_logits, labels[chunk], 1.0)

    return summed(hidden, head, term)[0]


def surprisal(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -Σ log p(label), and the logarithms of the normalisers [n, 1], of logits [n, v]."""
    normaliser = logits.logsumexp(1, keepdim=True)
    return (normaliser - logits.gather(1, labels.unsqueeze(1))).sum(), normaliser


def subtract_at(by_logits: torch.Tensor, labels: torch.Tensor, share: float) -> torch.Tensor:
    """Subtract `share` at every position's label, in place."""
    places = labels.unsqueeze(1)
    return by_logits.scatter_add_(1, places, torch.full_like(by_logits[:, :1], -share))


def _by_liger(hidden: torch.Tensor, head: Head, labels: torch.Tensor) -> torch.Tensor:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    states, narrow = head.to_compute(hidden)
    kernel = LigerFusedLinearCrossEntropyLoss(
        reduction="sum", softcap=head.softcap or None, accum_dtype=torch.float32
    )
    loss: torch.Tensor = kernel(narrow.weight, states, labels, narrow.bias)
    return loss.float()
