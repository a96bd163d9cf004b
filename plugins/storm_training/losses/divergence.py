"""Distillation on a teacher's logits: forward KL divergence, over the whole vocabulary."""

from __future__ import annotations

from typing import NamedTuple

import torch

from storm_training.losses.cross_entropy import subtract_at, surprisal
from storm_training.losses.head import Head
from storm_training.losses.summing import summed


class Divergence(NamedTuple):
    """What a pass through the heads gives."""

    loss: torch.Tensor
    """kl_weight · Σ KL + ce_weight · Σ cross-entropy; has a gradient."""
    kl: torch.Tensor
    """Σ KL(teacher ‖ student) · T²."""
    cross_entropy: torch.Tensor
    """-Σ log p(label) of the student; 0 where `ce_weight` is."""


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
    """Return the forward KL of a student from its teacher, and a share of the cross-entropy.

    `hidden` is [n, d], `teacher_hidden` [n, d'] and `labels` [n], of supervised positions only.
    At a temperature T both distributions are softened and the divergence is multiplied by T²
    (Hinton et al. 2015), so that its gradient keeps its size. Where one vocabulary is padded
    beyond the other, both distributions are over the entries that they share. The teacher gets no
    gradient.
    """
    taught, teacher_head = teacher_head.detach().to_compute(teacher_hidden.detach())
    shared = min(len(head.weight), len(teacher_head.weight))

    def term(
        chunk: slice, logits: torch.Tensor, wanted: bool
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        surprise, by_logits = logits.new_zeros(()), None
        if ce_weight:
            surprise, normaliser = surprisal(logits, labels[chunk])
            if wanted:
                by_logits = (logits - normaliser).exp_().mul_(ce_weight)
                subtract_at(by_logits, labels[chunk], ce_weight)
        teacher = teacher_head.logits(taught[chunk])[:, :shared].div_(temperature)
        teacher -= teacher.logsumexp(1, keepdim=True)
        student = logits[:, :shared].div_(temperature)
        student -= student.logsumexp(1, keepdim=True)
        likely = teacher.exp()
        # A dot product of so many numbers in fp32 would lose 3e-4 of it.
        kl = teacher.sub_(student).mul_(likely).sum() * temperature**2
        sums = [kl_weight * kl + ce_weight * surprise, kl, surprise]
        if not wanted:
            return sums, None
        towards = student.exp_().sub_(likely).mul_(kl_weight * temperature)
        if by_logits is None and shared == logits.shape[1]:
            return sums, towards
        by_logits = torch.zeros_like(logits) if by_logits is None else by_logits
        by_logits[:, :shared] += towards
        return sums, by_logits

    width = len(head.weight) + len(teacher_head.weight)
    return Divergence(*summed(hidden, head, term, sums=3, width=width))
