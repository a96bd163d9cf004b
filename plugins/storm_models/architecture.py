"""Names and shapes of a model's tensors, from its config alone."""

from __future__ import annotations

import math
from typing import Any

from storm_exp import InputError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Values of `model_type` whose tensors this module knows."""

_DEFAULT_KV_HEADS = {"mistral": 8, "qwen2": 32, "qwen3": 32}
_DEFAULT_HEAD_DIM = {"qwen3": 128}
_NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)


def tensor_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]] | None:
    """Return {name: shape} of the stored tensors of a causal language model.

    A tied head is not stored. Returns None for families other than `FAMILIES`. Raises InputError
    for a config of a known family that lacks a size or whose sizes contradict each other. The
    names and shapes are those that transformers 5 saves.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        return None
    for name in _NEEDED:
        if not isinstance(config.get(name), int) or config[name] < 1:
            raise InputError(f"config.json: {name}={config.get(name)!r} is not a positive number")
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    layer = _layer_shapes(config)
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{index}.{name}": shape for name, shape in layer.items()}
    shapes["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return shapes


def parameter_count(config: dict[str, Any]) -> int | None:
    """Return the number of stored parameters, None for an unknown family."""
    shapes = tensor_shapes(config)
    return None if shapes is None else sum(math.prod(shape) for shape in shapes.values())


def head_dim(config: dict[str, Any]) -> int:
    """Return the size of one attention head."""
    stated = config.get("head_dim") or _DEFAULT_HEAD_DIM.get(config["model_type"])
    if stated:
        return int(stated)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if hidden % heads:
        raise InputError(f"config.json: hidden_size={hidden} is not divisible by {heads} heads")
    return int(hidden // heads)


def key_value_heads(config: dict[str, Any]) -> int:
    """Return the number of key-value heads; raises InputError when heads do not divide by it."""
    heads = config["num_attention_heads"]
    stated = config.get("num_key_value_heads")
    if stated is None:
        stated = _DEFAULT_KV_HEADS.get(config["model_type"], heads)
    if stated < 1 or heads % stated:
        raise InputError(
            f"config.json: num_attention_heads={heads} is not divisible by "
            f"num_key_value_heads={stated}"
        )
    return int(stated)


def _layer_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    family = config["model_type"]
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    size = head_dim(config)
    queries = config["num_attention_heads"] * size
    keys = key_value_heads(config) * size
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }
    attention_bias = family in ("llama", "qwen3") and bool(config.get("attention_bias"))
    if attention_bias or family == "qwen2":
        shapes["self_attn.q_proj.bias"] = (queries,)
        shapes["self_attn.k_proj.bias"] = (keys,)
        shapes["self_attn.v_proj.bias"] = (keys,)
    if attention_bias:
        shapes["self_attn.o_proj.bias"] = (hidden,)
    if family == "qwen3":
        shapes["self_attn.q_norm.weight"] = (size,)
        shapes["self_attn.k_norm.weight"] = (size,)
    if family == "llama" and config.get("mlp_bias"):
        shapes["mlp.gate_proj.bias"] = (inner,)
        shapes["mlp.up_proj.bias"] = (inner,)
        shapes["mlp.down_proj.bias"] = (hidden,)
    return shapes
