"""The config of a twin: the same family and depth, and the smallest width that keeps its ratios."""

from __future__ import annotations

import math
from typing import Any

from storm_exp import InputError

HEAD_DIM = 8
"""Channels of a twin's attention head."""
HEADS, KV_HEADS = 4, 2
"""Heads of a twin at least, if the model has as many: query heads come in whole groups."""
EXPERTS = 4
"""The most experts of a twin's layer."""

_WIDTHS = (
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "n_inner",
    "ffn_dim",
)
_EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts")
_ROPE_LISTS = ("long_factor", "short_factor")


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a twin.

    Unchanged are family, depth and kinds of layers, windows and positions, ties, the kind of RoPE,
    activations, the size of a group of query heads, the ratio of MLP to hidden size, whether the
    heads together are as wide as the hidden size, the scale of queries beside their width, and the
    vocabulary. Other keys that the config does not state stay at the family's defaults, except
    widths, which are always stated. Raises InputError for a config that does not name its sizes as
    most families do.
    """
    if not can_shrink(config):
        raise InputError(
            f"no twin can be made of a {config.get('model_type')} model: its config does not state "
            "hidden_size and num_attention_heads"
        )
    twin = dict(config)
    for name in ("quantization_config", "auto_map", "_name_or_path"):
        twin.pop(name, None)
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    groups = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or hidden // heads
    group = max(1, heads // groups)
    twin_groups = min(groups, max(KV_HEADS, math.ceil(HEADS / group)))
    twin_heads = group * twin_groups
    ratio = twin_heads * HEAD_DIM / (heads * head_dim)
    twin_hidden = _multiple(hidden * ratio, twin_heads if hidden % heads == 0 else HEADS)
    twin |= {
        "num_attention_heads": twin_heads,
        "num_key_value_heads": twin_groups,
        "hidden_size": twin_hidden,
    }
    if config.get("head_dim") or twin_hidden != twin_heads * HEAD_DIM:
        twin["head_dim"] = HEAD_DIM
    if config.get("query_pre_attn_scalar"):  # Gemma's: a head's width, or near it
        scalar = config["query_pre_attn_scalar"] * HEAD_DIM / head_dim
        twin["query_pre_attn_scalar"] = max(1, round(scalar))
    for name in _WIDTHS:
        if config.get(name):
            twin[name] = _multiple(config[name] * twin_hidden / hidden, 8)
    for name in _EXPERT_COUNTS:
        if config.get(name):
            twin[name] = min(config[name], EXPERTS)
    if config.get("num_experts_per_tok"):
        twin["num_experts_per_tok"] = min(config["num_experts_per_tok"], EXPERTS // 2)
    for name in ("rope_scaling", "rope_parameters"):
        if isinstance(config.get(name), dict):
            twin[name] = _shrink_rope(config[name], config)
    return twin


def can_shrink(config: dict[str, Any]) -> bool:
    """Return whether a config names its sizes as most families do."""
    return all(isinstance(config.get(name), int) for name in ("hidden_size", "num_attention_heads"))


def scaled(size: int, real: int, twin: int) -> int:
    """Return `size`, a part of a model `real` wide, scaled to a twin `twin` wide, at least 1.

    A size smaller than the real width stays smaller than the twin's.
    """
    result = max(1, round(size * twin / real))
    return min(result, twin - 1) if size < real and twin > 1 else result


def _shrink_rope(rope: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return RoPE parameters with longrope's factors thinned to the pairs of a twin's head."""
    twin = dict(rope)
    partial = config.get("partial_rotary_factor") or rope.get("partial_rotary_factor") or 1.0
    pairs = int(HEAD_DIM * partial) // 2
    for name in _ROPE_LISTS:
        factors = rope.get(name)
        if isinstance(factors, list) and len(factors) > pairs:
            twin[name] = [factors[i * len(factors) // pairs] for i in range(pairs)]
    return twin


def _multiple(size: float, of: int) -> int:
    return max(of, math.floor(size / of + 0.5) * of)
