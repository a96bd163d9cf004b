"""What the machine that rehearses can do."""

from __future__ import annotations


def has_gpu() -> bool:
    """Return whether CUDA is there; imports torch."""
    import torch

    return torch.cuda.is_available()
