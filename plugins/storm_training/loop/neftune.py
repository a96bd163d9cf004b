"""NEFTune: noise on the embeddings in training (Jain et al. 2023, arXiv:2310.05914)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers import PreTrainedModel

from storm_training.data.packing import PackedBatch


@contextlib.contextmanager
def noisy_embeddings(model: PreTrainedModel, batch: PackedBatch, alpha: float) -> Iterator[None]:
    """Within, add noise to the embeddings of `batch`, if `model` is in training mode.

    Uniform in ± alpha / √(L · d), with the hidden size d and the number of tokens L of the
    position's sequence (not of the packed row); padding gets none. Uses torch's default generator,
    which training seeds anew in every step.
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
    """Return fp32 [rows, length]: the length of each position's sequence, infinite for padding."""
    shifted = segment_ids + 1
    counts = torch.bincount(shifted.flatten()).float()
    counts[0] = torch.inf
    return counts[shifted]
