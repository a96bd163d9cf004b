"""Forward KL divergence from a teacher's k most likely tokens at every position.

k entries instead of a whole vocabulary make a teacher's outputs small enough to store. The Minitron
paper (Muralidharan et al. 2024) found that k of 100 or less hurts the student; the whole
distribution, with the teacher in the loop, is better where there is memory for it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from storm_training.losses.chunked_sum import chunked_sum
from storm_training.losses.cross_entropy import subtract_at, surprisal
from storm_training.losses.divergence import Divergence
from storm_training.losses.head import Head, chunks

_MAX_LOST = 1 - 1e-6
"""Largest probability taken to lie on entries that the student lacks; keeps log(1 - p) finite."""


class TopK(NamedTuple):
    """The k most likely tokens of n positions, and the probability of all others together."""

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
    """Return KL(teacher ‖ student) over k + 1 events: the k tokens, and all others together.

    `hidden` is [n, hidden] and `labels` [n], of the positions that `teacher` describes; the
    cross-entropy is computed in the same pass. With the event of all others it is a true
    divergence: never negative, and 0 only when student and teacher agree on the k + 1 events. The
    temperature is 1, because the other tokens' probabilities cannot be softened without knowing
    them.

    `rows` is the size of the teacher's vocabulary, None for the student's. If one is padded beyond
    the other, both distributions are over the entries that they share, as in `divergence`: those
    of the k tokens that the student lacks are left out, and the rest is renormalised.
    """
    shared = len(head.weight) if rows is None else min(rows, len(head.weight))

    def term(
        chunk: slice, logits: torch.Tensor, with_gradient: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        ids, known, rest = (column[chunk] for column in teacher)
        if shared < logits.shape[1] or bool((ids >= shared).any()):
            return shared_term(TopK(ids, known, rest), logits, labels[chunk], with_gradient)
        logits -= logits.logsumexp(1, keepdim=True)
        surprise = -logits.gather(1, labels[chunk].unsqueeze(1)).sum()
        chosen = logits.gather(1, ids)
        logits.scatter_(1, ids, float("-inf"))
        others = logits.logsumexp(1)
        share, outside = known.exp(), rest.exp()
        kl = (share * (known - chosen)).sum()
        kl += torch.where(outside > 0, outside * (rest - others), 0.0).sum()
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not with_gradient:
            return sums, None
        # The others' gradient, times each one's share of their probability; no ratio can overflow.
        weight = kl_weight * (share.sum(1) + outside) + ce_weight
        grad_others = weight * others.exp() - kl_weight * outside
        grad_logits = logits.sub_(others.unsqueeze(1)).exp_().mul_(grad_others.unsqueeze(1))
        grad_chosen = weight.unsqueeze(1) * chosen.exp() - kl_weight * share
        grad_logits.scatter_(1, ids, grad_chosen.to(grad_logits.dtype))
        return sums, subtract_at(grad_logits, labels[chunk], ce_weight)

    def shared_term(
        teacher: TopK, logits: torch.Tensor, chunk_labels: torch.Tensor, with_gradient: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        ids, known, rest = restrict(teacher, shared)
        surprise, normaliser = surprisal(logits, chunk_labels)
        missing = logits.new_full((len(logits), 1), float("-inf"))  # the column of left-out ids
        student = torch.cat([logits[:, :shared], missing], dim=1)
        student -= student.logsumexp(1, keepdim=True)
        chosen = student.gather(1, ids)
        student.scatter_(1, ids, float("-inf"))
        others = student.logsumexp(1)
        rest = rest.masked_fill(others == float("-inf"), float("-inf"))  # nothing shared is left
        share, outside = known.exp(), rest.exp()
        kl = torch.where(share > 0, share * (known - chosen), 0.0).sum()
        kl += torch.where(outside > 0, outside * (rest - others), 0.0).sum()
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not with_gradient:
            return sums, None
        grad_logits = torch.zeros_like(logits)
        if ce_weight:
            grad_logits = (logits - normaliser).exp_().mul_(ce_weight)
            subtract_at(grad_logits, chunk_labels, ce_weight)
        weight = kl_weight * (share.sum(1) + outside)
        grad_others = weight * others.exp() - kl_weight * outside
        finite_others = others.clamp(min=torch.finfo(others.dtype).min)
        grad_shared = student.sub_(finite_others.unsqueeze(1)).exp_()
        grad_shared = grad_shared.mul_(grad_others.unsqueeze(1))
        grad_chosen = weight.unsqueeze(1) * chosen.exp() - kl_weight * share
        grad_shared.scatter_(1, ids, grad_chosen.to(grad_shared.dtype))
        grad_logits[:, :shared] += grad_shared[:, :shared]
        return sums, grad_logits

    return Divergence(*chunked_sum(hidden, head, term, sums=3))


def restrict(teacher: TopK, rows: int) -> TopK:
    """Return a teacher's distribution over the first `rows` entries of its vocabulary.

    Tokens beyond them get the id `rows` and no probability; the others are renormalised.
    """
    ids, known, rest = teacher
    beyond = ids >= rows
    lost = torch.where(beyond, known.exp(), 0.0).sum(1).clamp(max=_MAX_LOST)
    left = torch.log1p(-lost)
    known = torch.where(beyond, float("-inf"), known - left.unsqueeze(1))
    return TopK(ids.clamp(max=rows), known, rest - left)
