"""Memory of a transformer, from its config alone: bytes on the device that computes.

What autograd keeps was read off transformers 5 with saved-tensor hooks, and is checked that way.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from storm_models.architecture import axis_sizes, parameter_count, tensor_shapes, ties_head
from storm_models.flops import EMBEDDING, HEAD, Reading

PROCESS = 0.55 * 2**30
"""A process with its libraries: torch and transformers on a CPU, the context on a GPU."""

_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
_LONGEST_DENSE = 512
"""Longest document whose attention keeps its probabilities, on a CPU in bf16."""


def stored_width(config: dict[str, Any]) -> int:
    """Return the bytes of a stored parameter, 2 where the config does not say."""
    return _WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype")), 2)


def checkpoint_bytes(config: dict[str, Any], width: float | None = None) -> float | None:
    """Return the size of the weights, by default in the stored dtype; None for unknown families."""
    parameters = parameter_count(config)
    return None if parameters is None else parameters * (width or stored_width(config))


def inference_bytes(config: dict[str, Any], batch: Reading, width: int) -> float | None:
    """Return the peak of forward passes over `batch`, tokens read at once, without the process.

    Weights of `width` bytes, a cache of keys and values, the widest layer, and logits in fp32.
    """
    weights = checkpoint_bytes(config, width)
    if weights is None:
        return None
    sizes = axis_sizes(config)
    cache = 2 * sizes["keys"] * config["num_hidden_layers"] * width
    layer = 3 * sizes["inner"] * width + 3 * sizes["hidden"] * 4
    logits = batch.predicted * sizes["vocabulary"] * (width + 8)
    return weights + batch.tokens * (cache + layer) + logits


def activation_bytes(
    config: dict[str, Any],
    batch: Reading,
    precision: str,
    *,
    trained: Collection[str] | None = None,
    flash: bool = True,
) -> list[float] | None:
    """Return for every layer what its forward pass over `batch` keeps for the backward pass.

    `precision` is 32, bf16-mixed or bf16. `trained` names the tensors that train (None: all): an
    input of a frozen matrix is not kept, nor is anything of layers below the first that trains.
    Without `flash`, documents of up to 512 tokens keep their attention's probabilities. None for a
    family that is not known.
    """
    shapes = tensor_shapes(config)
    if shapes is None:
        return None
    layers: list[dict[str, tuple[int, ...]]] = [{} for _ in range(config["num_hidden_layers"])]
    for name, shape in shapes.items():
        if name.startswith("model.layers."):
            layers[int(name.split(".")[2])][name] = shape
    reached = trained is None or EMBEDDING in trained
    kept = []
    for layer in layers:
        reached = reached or any(name in (trained or ()) for name in layer)
        each = _layer_bytes(config, layer, batch.context, precision, trained, flash)
        kept.append(each * batch.tokens if reached else 0.0)
    return kept


def working_bytes(config: dict[str, Any], batch: Reading, precision: str) -> float:
    """Return what a layer's backward pass holds besides, at its widest: gradients in the MLP."""
    sizes = axis_sizes(config)
    width = 4 if precision == "32" else 2
    return batch.tokens * (3 * sizes["inner"] * width + 2 * sizes["hidden"] * 4)


def head_parameters(config: dict[str, Any]) -> int:
    """Return the number of the head's parameters."""
    return int(config["vocab_size"] * config["hidden_size"])


def head_name(config: dict[str, Any]) -> str:
    """Return the name of the tensor that is the head."""
    return EMBEDDING if ties_head(config) else HEAD


def _layer_bytes(
    config: dict[str, Any],
    layer: dict[str, tuple[int, ...]],
    context: float,
    precision: str,
    trained: Collection[str] | None,
    flash: bool,
) -> float:
    """Return the bytes per token that one layer keeps."""
    sizes = axis_sizes(config)
    hidden, inner, queries, keys = (sizes[n] for n in ("hidden", "inner", "queries", "keys"))
    width = 4 if precision == "32" else 2
    learning = {n.split(".", 3)[3] for n in layer if trained is None or n in trained}
    kinds = {name.split(".", 3)[3]: shape for name, shape in layer.items()}
    total = 0.0
    for name, shape in kinds.items():
        if "norm" in name:
            size = hidden if shape == (hidden,) else queries if "q_norm" in name else keys
            # fp32 states; normalised ones, in the dtype of the stream, for the weight's gradient.
            total += 4 * size + (name in learning) * size * (2 if precision == "bf16" else 4)
    inputs = [name for name in learning if name.endswith("weight") and len(kinds[name]) == 2]
    for part, size in (("self_attn", hidden), ("mlp", hidden)):
        readers = [n for n in inputs if n.startswith(part) and kinds[n][1] == size]
        readers = [n for n in readers if "o_proj" not in n and "down_proj" not in n]
        # Autocast makes a copy for every matrix; otherwise they share what the norm returned.
        copies = len(readers) if precision == "bf16-mixed" else min(1, len(readers))
        total += copies * size * width
    heads = config["num_attention_heads"]
    total += width * (queries + 2 * keys)
    if width == 4 or flash or context > _LONGEST_DENSE:
        # On a CPU the kernel computes in fp32, on padded copies of what it is given.
        total += (4 if not flash else width) * queries + 4 * heads
    else:
        total += width * heads * context
    shared = flash and width == 2
    total += width * queries * ("self_attn.o_proj.weight" in learning and not shared)
    return total + width * inner * (3 + ("mlp.down_proj.weight" in learning))


def layer_parameters(config: dict[str, Any]) -> float:
    """Return the number of parameters of a layer, on average."""
    shapes = tensor_shapes(config) or {}
    layers = sum(math.prod(s) for name, s in shapes.items() if name.startswith("model.layers."))
    return layers / config["num_hidden_layers"]
