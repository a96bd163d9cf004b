"""Noise on embedded tokens while a model is tuned: NEFTune (Jain et al. 2023, arXiv:2310.05914)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers import PreTrainedModel

from storm_training.data.packing import PackedBatch


@contextlib.contextmanager
def noisy_embeddings(model: PreTrainedModel, batch: PackedBatch, alpha: float) -> Iterator[None]:
    """Within, add noise to what `model` in training makes of the ids of `batch`.

    Uniform in ± alpha / √(L · d): d is the hidden size, L the number of tokens of the sequence
    that a position belongs to. Sequences that share a row have each their own; padding has none.
    Noise comes from torch's generator, which training seeds anew for every step.
    """
    if alpha == 0 or not model.training:
        yield
        return
    bound = alpha / lengths(batch.segment_ids).sqrt()

    def add_noise(_: torch.nn.Module, __: Any, embedded: torch.Tensor) -> torch.Tensor:
        scale = (bound / embedded.shape[-1] ** 0.5).unsqueeze(-1)
        noise = torch.empty_like(embedded, dtype=torch.float32).uniform_(-1, 1)
        noisy: torch.Tensor = embedded + (noise * scale).to(embedded.dtype)
        return noisy

    handle = model.get_input_embeddings().register_forward_hook(add_noise)
    try:
        yield
    finally:
        handle.remove()


def lengths(segment_ids: torch.Tensor) -> torch.Tensor:
    """Return [rows, length], fp32: the tokens of each position's sequence, infinite for padding."""
    shifted = segment_ids + 1
    counts = torch.bincount(shifted.flatten()).float()
    counts[0] = torch.inf
    return counts[shifted]
