"""Distillation on a teacher's logits: forward KL divergence, over the whole vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from storm_training.losses.cross_entropy import scaled
from storm_training.losses.head import Gradients, Head, pieces


class Divergence(NamedTuple):
    """What a pass through both heads gives."""

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
    gradient. Gradients are computed with the loss, piece by piece.
    """
    loss, kl, ce = _Divergence.apply(
        hidden, head.weight, head.bias, head, teacher_hidden.detach(), teacher_head.detach(),
        labels, (temperature, kl_weight, ce_weight),
    )  # fmt: skip
    return Divergence(loss, kl, ce)


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        head: Head,
        teacher_hidden: torch.Tensor,
        teacher_head: Head,
        labels: torch.Tensor,
        weights: tuple[float, float, float],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        temperature, kl_weight, ce_weight = weights
        states, head = head._replace(weight=weight, bias=bias).to_compute(hidden)
        teacher_states, teacher_head = teacher_head.to_compute(teacher_hidden)
        wanted = ctx.needs_input_grad[:3]
        gradients = Gradients(states, head, wanted)
        wide = torch.float64 if states.dtype == torch.float64 else torch.float32
        kl, ce = torch.zeros(2, dtype=wide, device=hidden.device)
        shared = min(len(weight), len(teacher_head.weight))
        for piece in pieces(len(labels), len(weight) + len(teacher_head.weight)):
            teacher = teacher_head.logits(teacher_states[piece])[:, :shared].div_(temperature)
            teacher -= teacher.logsumexp(1, keepdim=True)
            logits = head.logits(states[piece])
            slope = head.slope(logits) if any(wanted) else 1.0
            by_logits = None
            if ce_weight:
                label = labels[piece].unsqueeze(1)
                normaliser = logits.logsumexp(1, keepdim=True)
                ce += (normaliser - logits.gather(1, label)).sum()
                if any(wanted):
                    by_logits = (logits - normaliser).exp_()
                    by_logits.scatter_add_(1, label, torch.full_like(normaliser, -1.0))
                    by_logits *= ce_weight
            student = logits[:, :shared].div_(temperature)
            student -= student.logsumexp(1, keepdim=True)
            likely = teacher.exp()
            kl += teacher.sub_(student).mul_(likely).sum()  # a dot of so many loses 3e-4
            if any(wanted):
                towards = student.exp_().sub_(likely).mul_(kl_weight * temperature)
                if by_logits is None and shared == len(weight):
                    by_logits = towards
                else:
                    by_logits = torch.zeros_like(logits) if by_logits is None else by_logits
                    by_logits[:, :shared] += towards
                gradients.add(piece, by_logits, slope)
        kl = kl * temperature**2
        ctx.gradients = gradients
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        ctx.mark_non_differentiable(kl, ce)
        return kl_weight * kl + ce_weight * ce, kl, ce

    @staticmethod
    def backward(ctx: Any, above: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        return (*scaled(ctx.gradients, above, ctx.dtypes), *[None] * 5)
