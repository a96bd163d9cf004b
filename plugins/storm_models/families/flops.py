"""Floating-point operations of a transformer, from its config alone.

A product of an [n, k] and a [k, m] matrix counts 2·n·k·m, as torch's FlopCounterMode does. Norms,
activations and softmax are not counted, nor what a flash kernel computes twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from storm_models.families.architecture import EMBEDDING, HEAD, axis_sizes, tensor_shapes, ties_head
from storm_models.families.attention import attention_windows
from storm_models.families.model_config import ModelConfig

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_ORDER = (
    ("input_layernorm",),
    ("q_proj", "k_proj", "v_proj", "qkv_proj", "q_norm", "k_norm"),
    ("o_proj",),
    ("post_attention_layernorm", "pre_feedforward_layernorm"),
    ("gate_proj", "up_proj", "gate_up_proj"),
    ("down_proj",),
    ("post_feedforward_layernorm",),
)
"""The tensors of a layer in the order in which a forward pass meets them."""
_QUERIES, _DOWN, _LAST = 1, 5, 6
"""Places in this order: attention follows the first; the last of what every family has."""


class Reading(NamedTuple):
    """How much text goes through a model, and what is asked of it."""

    tokens: float
    """Tokens that are read."""
    context: float
    """Tokens that one of them is compared with: the mean length of what is read as one, each
    token's own counted once (Σ length² / Σ length)."""
    predicted: float
    """Positions whose logits are computed."""


class Tensor(NamedTuple):
    """A tensor of a layer."""

    name: str
    shape: tuple[int, ...]

    @property
    def product(self) -> float:
        """Operations per token of the product with this matrix, 0 for a vector."""
        return 2.0 * math.prod(self.shape) if len(self.shape) == 2 else 0.0


def forward_flops(config: ModelConfig, reading: Reading) -> float | None:
    """Return the operations of a forward pass, None for a family that is not known."""
    layers = _layers(config)
    if layers is None:
        return None
    total = _head(config) * reading.predicted
    for number, groups in enumerate(layers):
        total += sum(tensor.product for group in groups for tensor in group) * reading.tokens
        total += _attention(config, number, reading)
    return total


def training_flops(
    config: ModelConfig,
    reading: Reading,
    *,
    trained: Collection[str] | None = None,
    updates: Mapping[str, int] | None = None,
    recompute: bool = False,
) -> float | None:
    """Return the operations of forward and backward passes, None for an unknown family.

    `trained` names the tensors that get a gradient (None: all); gradients of inputs are computed
    only behind the first of them. `updates` gives the rank of low-rank updates by the names of the
    matrices that have one. With `recompute`, layers are computed once more in the backward pass.
    """
    layers = _layers(config)
    if layers is None:
        return None
    ranks = updates or {}

    def learns(name: str) -> bool:
        return trained is None or name in trained or name in ranks

    reached = learns(EMBEDDING)
    total = 0.0
    for number, groups in enumerate(layers):
        attention = _attention(config, number, reading)
        forward, backward, again = attention, 0.0, 0.0
        for place, group in enumerate(groups):
            for tensor in group:
                product = tensor.product * reading.tokens
                forward += product
                backward += product * (reached + (trained is None or tensor.name in trained))
                if tensor.name in ranks:
                    update = 2.0 * ranks[tensor.name] * sum(tensor.shape) * reading.tokens
                    forward += update
                    backward += update * (2 if reached else 1)
            if place == _QUERIES:
                backward += attention * _share_of_attention(group, learns, reached)
            reached = reached or any(learns(tensor.name) for tensor in group)
        if recompute and reached:  # up to the last tensor that a gradient needs
            again = forward
            if not groups[_LAST]:
                again -= sum(tensor.product for tensor in groups[_DOWN]) * reading.tokens
        total += forward + again + backward
    head = EMBEDDING if ties_head(config) else HEAD
    times = 1 + reached + (trained is None or head in trained)
    return total + _head(config) * reading.predicted * times


def _layers(config: ModelConfig) -> list[list[list[Tensor]]] | None:
    """Return the tensors of every layer, in the order of a forward pass."""
    shapes = tensor_shapes(config)
    if shapes is None:
        return None
    layers: list[list[list[Tensor]]] = [
        [[] for _ in _ORDER] for _ in range(config["num_hidden_layers"])
    ]
    for name, shape in shapes.items():
        found = _LAYER.fullmatch(name)
        if found:
            kind = found[2].rpartition(".")[0].rpartition(".")[2]
            place = next(n for n, kinds in enumerate(_ORDER) if kind in kinds)
            layers[int(found[1])][place].append(Tensor(name, shape))
    return layers


def _share_of_attention(group: list[Tensor], learns: Callable[[str], bool], reached: bool) -> float:
    """Return the operations of attention's backward pass, as a share of the forward pass's two.

    Each of the gradients of queries, keys, values and probabilities is half of them.
    """
    moving = {
        part
        for part in "qkv"
        if reached or any(learns(t.name) and part in _part(t.name) for t in group)
    }
    return (len(moving) + bool(moving & {"q", "k"})) / 2


def _part(name: str) -> str:
    """Return which of q, k and v a tensor makes: `q_proj` q, `k_norm` k, `qkv_proj` all."""
    return name.rpartition(".")[0].rpartition(".")[2].partition("_")[0]


def _attention(config: ModelConfig, layer: int, reading: Reading) -> float:
    """Return the operations of a layer's scores and weighted sums."""
    window = attention_windows(config)[layer]
    seen = reading.context if window is None else min(reading.context, window)
    return 4.0 * axis_sizes(config)["queries"] * reading.tokens * seen


def _head(config: ModelConfig) -> float:
    """Return the operations per position of the head."""
    return 2.0 * config["vocab_size"] * config["hidden_size"]
