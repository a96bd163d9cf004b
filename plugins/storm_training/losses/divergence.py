"""Forward KL divergence from a teacher's logits, over the whole vocabulary."""

from __future__ import annotations

from typing import NamedTuple

import torch

from storm_training.losses.chunked_sum import chunked_sum
from storm_training.losses.cross_entropy import subtract_at, surprisal
from storm_training.losses.head import Head


class Divergence(NamedTuple):
    """A distillation loss and its terms, each an fp32 scalar."""

    loss: torch.Tensor
    """kl_weight · Σ KL + ce_weight · Σ cross-entropy; has a gradient."""
    kl: torch.Tensor
    """Σ KL(teacher ‖ student) · T²."""
    cross_entropy: torch.Tensor
    """-Σ log p(label) of the student; 0 if `ce_weight` is."""


def divergence(
    hidden: torch.Tensor,
    head: Head,
    teacher_hidden: torch.Tensor,
    teacher_head: Head,
    labels: torch.Tensor,
    *,
    temperature: float = 1.0,
    kl_weight: float = 1.0,
    ce_weight: float = 0.0,
) -> Divergence:
    """Return KL(teacher ‖ student) and cross-entropy, weighted and summed over positions.

    `hidden` is [n, d], `teacher_hidden` [n, d'] and `labels` [n], of supervised positions only.
    A temperature T softens both distributions, and the divergence is multiplied by T², so that its
    gradient keeps its scale (Hinton et al. 2015). If one vocabulary is padded beyond the other,
    both distributions are over the entries that they share. The teacher gets no gradient.
    """
    teacher_states, teacher_head = teacher_head.detach().to_compute(teacher_hidden.detach())
    shared = min(len(head.weight), len(teacher_head.weight))

    def term(
        chunk: slice, logits: torch.Tensor, with_gradient: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        surprise, grad_logits = logits.new_zeros(()), None
        if ce_weight:
            surprise, normaliser = surprisal(logits, labels[chunk])
            if with_gradient:
                grad_logits = (logits - normaliser).exp_().mul_(ce_weight)
                subtract_at(grad_logits, labels[chunk], ce_weight)
        teacher = teacher_head.logits(teacher_states[chunk])[:, :shared].div_(temperature)
        teacher -= teacher.logsumexp(1, keepdim=True)
        student = logits[:, :shared].div_(temperature)
        student -= student.logsumexp(1, keepdim=True)
        teacher_probs = teacher.exp()
        # A dot product of so many numbers in fp32 would have a relative error of 3e-4.
        kl = teacher.sub_(student).mul_(teacher_probs).sum() * temperature**2
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not with_gradient:
            return sums, None
        grad_shared = student.exp_().sub_(teacher_probs).mul_(kl_weight * temperature)
        if grad_logits is None and shared == logits.shape[1]:
            return sums, grad_shared
        grad_logits = torch.zeros_like(logits) if grad_logits is None else grad_logits
        grad_logits[:, :shared] += grad_shared
        return sums, grad_logits

    width = len(head.weight) + len(teacher_head.weight)
    return Divergence(*chunked_sum(hidden, head, term, sums=3, width=width))
