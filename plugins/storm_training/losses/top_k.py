"""Distillation on what was kept of a teacher: its most likely tokens at every position.

Keeping k entries instead of a vocabulary makes a teacher's answers storable. The Minitron paper
(Muralidharan et al. 2024) warns that k of 100 and below hurts the student; the whole distribution,
with the teacher in the loop, is the better choice where it can be afforded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from storm_training.losses.cross_entropy import subtract_at, surprisal
from storm_training.losses.divergence import Divergence
from storm_training.losses.head import Head, chunks
from storm_training.losses.summing import summed

_MOST_LOST = 1 - 1e-6
"""Probability that may lie on entries which a student lacks; more than this is rounding."""


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
    for chunk in chunks(len(hidden), len(head.weight), hidden.device):
        likely = head.logits(states[chunk]).log_softmax(1)
        values, ids = likely.topk(k, dim=1)
        others = likely.scatter_(1, ids, float("-inf")).logsumexp(1)
        parts.append(TopK(ids, values, others))
    return TopK(*(torch.cat(column) for column in zip(*parts, strict=True)))


def top_k_divergence(
    hidden: torch.Tensor,
    head: Head,
    teacher: TopK,
    labels: torch.Tensor,
    *,
    rows: int | None = None,
    kl_weight: float = 1.0,
    ce_weight: float = 0.0,
) -> Divergence:
    """Return Σ KL(teacher ‖ student) over the k tokens and, as one event, all the others.

    `hidden` is [n, hidden] and `labels` [n], of the positions that `teacher` describes; as in
    `divergence`, a share of the cross-entropy costs no second pass. The lumped event keeps it a
    divergence: it is 0 only for a student that agrees, and never negative. Temperature is 1: what
    is lumped together cannot be softened.

    `rows` is the size of the teacher's vocabulary, None for the student's. Where one is padded
    beyond the other, both distributions are over the entries that they share, as in `divergence`:
    those of the k that the student lacks are left out, and the teacher's others with them, as far
    as they are among the k.
    """
    shared = len(head.weight) if rows is None else min(rows, len(head.weight))

    def term(
        chunk: slice, logits: torch.Tensor, wanted: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        ids, known, rest = (column[chunk] for column in teacher)
        if shared < logits.shape[1] or bool((ids >= shared).any()):
            return shared_term(TopK(ids, known, rest), logits, labels[chunk], wanted)
        logits -= logits.logsumexp(1, keepdim=True)
        surprise = -logits.gather(1, labels[chunk].unsqueeze(1)).sum()
        chosen = logits.gather(1, ids)
        logits.scatter_(1, ids, float("-inf"))
        others = logits.logsumexp(1)
        share, outside = known.exp(), rest.exp()
        kl = (share * (known - chosen)).sum()
        kl += torch.where(outside > 0, outside * (rest - others), 0.0).sum()
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not wanted:
            return sums, None
        # Probabilities among the others, times what they get together; no ratio can overflow.
        weight = kl_weight * (share.sum(1) + outside) + ce_weight
        together = weight * others.exp() - kl_weight * outside
        by_logits = logits.sub_(others.unsqueeze(1)).exp_().mul_(together.unsqueeze(1))
        inside = weight.unsqueeze(1) * chosen.exp() - kl_weight * share
        by_logits.scatter_(1, ids, inside.to(by_logits.dtype))
        return sums, subtract_at(by_logits, labels[chunk], ce_weight)

    def shared_term(
        taught: TopK, logits: torch.Tensor, wanted_labels: torch.Tensor, wanted: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        ids, known, rest = within(taught, shared)
        surprise, normaliser = surprisal(logits, wanted_labels)
        nobody = logits.new_full((len(logits), 1), float("-inf"))  # where left-out ids point
        student = torch.cat([logits[:, :shared], nobody], dim=1)
        student -= student.logsumexp(1, keepdim=True)
        chosen = student.gather(1, ids)
        student.scatter_(1, ids, float("-inf"))
        others = student.logsumexp(1)
        rest = rest.masked_fill(others == float("-inf"), float("-inf"))  # nothing shared is left
        share, outside = known.exp(), rest.exp()
        kl = torch.where(share > 0, share * (known - chosen), 0.0).sum()
        kl += torch.where(outside > 0, outside * (rest - others), 0.0).sum()
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not wanted:
            return sums, None
        by_logits = torch.zeros_like(logits)
        if ce_weight:
            by_logits = (logits - normaliser).exp_().mul_(ce_weight)
            subtract_at(by_logits, wanted_labels, ce_weight)
        weight = kl_weight * (share.sum(1) + outside)
        together = weight * others.exp() - kl_weight * outside
        lumped = others.clamp(min=torch.finfo(others.dtype).min)
        towards = student.sub_(lumped.unsqueeze(1)).exp_().mul_(together.unsqueeze(1))
        inside = weight.unsqueeze(1) * chosen.exp() - kl_weight * share
        towards.scatter_(1, ids, inside.to(towards.dtype))
        by_logits[:, :shared] += towards[:, :shared]
        return sums, by_logits

    return Divergence(*summed(hidden, head, term, sums=3))


def within(taught: TopK, rows: int) -> TopK:
    """Return what a teacher says when it can say the first `rows` tokens only.

    Entries beyond get the id `rows` and no probability; the others are divided by what is left.
    """
    ids, known, rest = taught
    beyond = ids >= rows
    lost = torch.where(beyond, known.exp(), 0.0).sum(1).clamp(max=_MOST_LOST)
    left = torch.log1p(-lost)
    known = torch.where(beyond, float("-inf"), known - left.unsqueeze(1))
    return TopK(ids.clamp(max=rows), known, rest - left)
