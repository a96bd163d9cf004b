"""Floating-point operations of a transformer, from its config alone.

A product of an [n, k] and a [k, m] matrix counts 2·n·k·m, as torch's FlopCounterMode does. Norms,
activations and softmax are not counted, nor what a flash kernel recomputes.
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
"""The tensors of a layer in the order of a forward pass."""
_QUERIES, _DOWN, _LAST = 1, 5, 6
"""Indices in this order: attention follows _QUERIES, and _LAST is empty in most families."""


class Reading(NamedTuple):
    """The amount of text that goes through a model, and the logits computed."""

    tokens: float
    """Tokens of the input."""
    context: float
    """Tokens that a token is compared with: the mean document length per token,
    Σ length² / Σ length, with each token's own counted once."""
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
    """Return the operations of a forward pass, None for an unknown family."""
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
    only after the first of them. `updates` gives the ranks of low-rank updates by the names of
    their matrices. With `recompute`, layers are computed once more in the backward pass.
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
        for position, group in enumerate(groups):
            for tensor in group:
                product = tensor.product * reading.tokens
                forward += product
                backward += product * (reached + (trained is None or tensor.name in trained))
                if tensor.name in ranks:
                    update = 2.0 * ranks[tensor.name] * sum(tensor.shape) * reading.tokens
                    forward += update
                    backward += update * (2 if reached else 1)
            if position == _QUERIES:
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
        match = _LAYER.fullmatch(name)
        if match:
            kind = match[2].rpartition(".")[0].rpartition(".")[2]
            position = next(n for n, kinds in enumerate(_ORDER) if kind in kinds)
            layers[int(match[1])][position].append(Tensor(name, shape))
    return layers


def _share_of_attention(group: list[Tensor], learns: Callable[[str], bool], reached: bool) -> float:
    """Return attention's backward operations as a multiple of its forward operations.

    Each gradient (of queries, keys, values and probabilities) costs half a forward pass.
    """
    moving = {
        part
        for part in "qkv"
        if reached or any(learns(t.name) and part in _part(t.name) for t in group)
    }
    return (len(moving) + bool(moving & {"q", "k"})) / 2


def _part(name: str) -> str:
    """Return which of q, k and v a tensor produces: `q_proj` q, `k_norm` k, `qkv_proj` all."""
    return name.rpartition(".")[0].rpartition(".")[2].partition("_")[0]


def _attention(config: ModelConfig, layer: int, reading: Reading) -> float:
    """Return the operations of a layer's attention scores and weighted sums."""
    window = attention_windows(config)[layer]
    attended = reading.context if window is None else min(reading.context, window)
    return 4.0 * axis_sizes(config)["queries"] * reading.tokens * attended


def _head(config: ModelConfig) -> float:
    """Return the head's operations per position."""
    return 2.0 * config["vocab_size"] * config["hidden_size"]
