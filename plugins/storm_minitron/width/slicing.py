"""Cutting a model's tensors down to what is kept, along every dimension that counts it."""

from __future__ import annotations

import math
import re

import torch

from storm_minitron.width.selection import Kept
from storm_models.families.architecture import axis_sizes, head_dim, tensor_axes, ties_head
from storm_models.families.model_config import ModelConfig

_LAYER = re.compile(r"model\.layers\.(\d+)\.")
_GEMMA = ("gemma2", "gemma3_text")


class Slicer:
    """Gives the tensors of the pruned model from those of the model of `config`.

    Every dimension of hidden channels is cut by the same list, whether it is read or written;
    nothing is cut within a head. With `rescale_norms`, the scale of a norm over hidden channels is
    multiplied by √(d/d′): where the dropped channels were zero, d of them made the root mean
    square smaller than d′ do, and the model computes as before, but for the norms' epsilon.

    Gemma multiplies embeddings by √hidden_size, which gets smaller: the embedding takes the
    factor that is lost, and the final norm gives it back where the head is tied to it.
    """

    def __init__(self, config: ModelConfig, kept: Kept, *, rescale_norms: bool) -> None:
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
        """Return the tensor of this name cut down, in the dtype of the given one."""
        found = _LAYER.match(name)
        layer = int(found[1]) if found else 0
        for dimension, axis in enumerate(self._axes[name]):
            index = self._index(axis, layer)
            if index is not None:
                tensor = tensor.index_select(dimension, index)
        return self._scaled(name, tensor)

    def _index(self, axis: str, layer: int) -> torch.Tensor | None:
        """Return what stays of a dimension, None for all of it."""
        if "+" in axis:
            first, parts = 0, []
            for part in axis.split("+"):
                inside = self._index(part, layer)
                size = self._sizes[part]
                parts.append(first + (torch.arange(size) if inside is None else inside))
                first += size
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
            return _times(tensor, self._embedding_factor, 0.0)
        if name == "model.norm.weight":
            return _times(tensor, self._final_factor, self._norm_offset)
        if name.endswith("layernorm.weight"):
            return _times(tensor, self._norm_factor, self._norm_offset)
        return tensor


def _times(tensor: torch.Tensor, factor: float, offset: float) -> torch.Tensor:
    """Return (tensor + offset) · factor - offset, in fp32 or better, rounded once."""
    if factor == 1.0:
        return tensor
    working = torch.promote_types(tensor.dtype, torch.float32)
    return ((tensor.to(working) + offset) * factor - offset).to(tensor.dtype)
