"""Distillation on what was kept of a teacher: its most likely tokens at every position.

Keeping k entries instead of a vocabulary makes a teacher's answers storable. The Minitron paper
(Muralidharan et al. 2024) warns that k of 100 and below hurts the student; the whole distribution,
with the teacher in the loop, is the better choice where it can be afforded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.checkpoint import checkpoint

from storm_training.losses.head import Head, pieces


class TopK(NamedTuple):
    """The most likely tokens of n positions, and how likely all the others are together."""

    ids: torch.Tensor
    """int64 [n, k]"""
    log_probabilities: torch.Tensor
    """fp32 [n, k]"""
    rest: torch.Tensor
    """fp32 [n]: log of the probability of all other tokens together."""


@torch.no_grad()
def top_k(hidden: torch.Tensor, head: Head, k: int) -> TopK:
    """Return the k most likely tokens of every position of `hidden` [n, hidden]."""
    states, head = head.detach().to_compute(hidden)
    parts = []
    for piece in pieces(len(hidden), len(head.weight)):
        likely = head.logits(states[piece]).log_softmax(1)
        values, ids = likely.topk(k, dim=1)
        others = likely.scatter_(1, ids, float("-inf")).logsumexp(1)
        parts.append(TopK(ids, values, others))
    return TopK(*(torch.cat(column) for column in zip(*parts, strict=True)))


def top_k_divergence(hidden: torch.Tensor, head: Head, teacher: TopK) -> torch.Tensor:
    """Return Σ KL(teacher ‖ student) over the k tokens and, as one event, all the others.

    `hidden` is [n, hidden], of the positions that `teacher` describes. The lumped event keeps it a
    divergence: it is 0 only for a student that agrees, and never negative. Temperature is 1: what
    is lumped together cannot be softened.
    """
    total = hidden.new_zeros((), dtype=torch.float32)
    for piece in pieces(len(hidden), len(head.weight)):
        part = TopK(*(column[piece] for column in teacher))
        total = total + checkpoint(_divergence, hidden[piece], head, part, use_reentrant=False)
    return total


def _divergence(hidden: torch.Tensor, head: Head, teacher: TopK) -> torch.Tensor:
    product = torch.nn.functional.linear(hidden, head.weight)
    logits = product if product.dtype == torch.float64 else product.float()
    if head.bias is not None:
        logits = logits + head.bias
    logits = logits * head.scale
    if head.softcap:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    likely = logits.log_softmax(1)
    chosen = likely.gather(1, teacher.ids)
    others = likely.scatter(1, teacher.ids, float("-inf")).logsumexp(1)
    weights, rest = teacher.log_probabilities.exp(), teacher.rest.exp()
    inside = (weights * (teacher.log_probabilities - chosen)).sum()
    outside = torch.where(rest > 0, rest * (teacher.rest - others), 0.0).sum()
    return inside + outside
