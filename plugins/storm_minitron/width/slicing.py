"""Slicing a model's tensors down to the kept channels, neurons and heads."""

from __future__ import annotations

import math
import re

import torch

from storm_minitron.width.selection import KeptIndices
from storm_models.families.architecture import axis_sizes, head_dim, tensor_axes, ties_head
from storm_models.families.model_config import ModelConfig

_LAYER = re.compile(r"model\.layers\.(\d+)\.")
_GEMMA = ("gemma2", "gemma3_text")


class Slicer:
    """Maps the tensors of a model with `config` to those of the pruned model.

    All dimensions of hidden channels are sliced alike; nothing is sliced within a head. With
    `rescale_norms`, the scale of norms over hidden channels is multiplied by √(d/d′): if the
    dropped channels were zero, the root mean square over d′ channels is larger by that factor, and
    the model computes as before, up to the norms' epsilon.

    Gemma multiplies embeddings by √hidden_size, which becomes smaller: the embedding is multiplied
    by the lost factor, and the final norm divided by it if the head is tied to the embedding.
    """

    def __init__(self, config: ModelConfig, kept: KeptIndices, *, rescale_norms: bool) -> None:
        self._axes = tensor_axes(config) or {}
        self._sizes = axis_sizes(config)
        self._head_dim = head_dim(config)
        self._kept = kept
        ratio = math.sqrt(config["hidden_size"] / len(kept.hidden))
        gemma = config["model_type"] in _GEMMA
        self._norm_offset = 1.0 if gemma else 0.0
        self._norm_factor = ratio if rescale_norms else 1.0
        self._embedding_factor = ratio if gemma else 1.0
        self._final_factor = self._norm_factor
        if gemma and ties_head(config):
            self._final_factor /= ratio

    def __call__(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the pruned tensor of this name, in the dtype of `tensor`."""
        match = _LAYER.match(name)
        layer = int(match[1]) if match else 0
        for dimension, axis in enumerate(self._axes[name]):
            index = self._index(axis, layer)
            if index is not None:
                tensor = tensor.index_select(dimension, index)
        return self._scaled(name, tensor)

    def _index(self, axis: str, layer: int) -> torch.Tensor | None:
        """Return the indices to keep of a dimension, None for all."""
        if "+" in axis:
            offset, parts = 0, []
            for part in axis.split("+"):
                index = self._index(part, layer)
                size = self._sizes[part]
                parts.append(offset + (torch.arange(size) if index is None else index))
                offset += size
            return torch.cat(parts)
        if axis == "hidden":
            return self._kept.hidden
        if axis == "inner":
            return self._kept.inner[layer]
        if axis == "queries":
            channels = torch.arange(self._head_dim)
            return (self._kept.heads[layer][:, None] * self._head_dim + channels).flatten()
        return None

    def _scaled(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name == "model.embed_tokens.weight":
            return _multiply(tensor, self._embedding_factor, 0.0)
        if name == "model.norm.weight":
            return _multiply(tensor, self._final_factor, self._norm_offset)
        if name.endswith("layernorm.weight"):
            return _multiply(tensor, self._norm_factor, self._norm_offset)
        return tensor


def _multiply(tensor: torch.Tensor, factor: float, offset: float) -> torch.Tensor:
    """Return (tensor + offset) · factor - offset, computed at least in fp32, rounded once."""
    if factor == 1.0:
        return tensor
    working = torch.promote_types(tensor.dtype, torch.float32)
    return ((tensor.to(working) + offset) * factor - offset).to(tensor.dtype)
