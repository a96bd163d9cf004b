"""What a config says of how a model computes with its weights, in one spelling."""

from __future__ import annotations

from typing import Any

from storm_models.checkpoint.depth import PER_LAYER_LISTS
from storm_models.families.architecture import FAMILIES, head_dim, key_value_heads, ties_head
from storm_models.families.attention import layer_types
from storm_models.families.model_config import ModelConfig, by_name

_SIZES = (
    "model_type",
    "num_hidden_layers",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
)
_SCALES = ("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping")
_GEMMA = {"query_pre_attn_scalar": 256, "hidden_act": "gelu_pytorch_tanh"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    **{family: {"hidden_act": "silu"} for family in FAMILIES},
    "gemma2": {**_GEMMA, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    "gemma3_text": {**_GEMMA, "attn_logit_softcapping": None, "final_logit_softcapping": None},
}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
_LOCAL, _GLOBAL = "sliding_attention.", "full_attention."


def weight_semantics(config: ModelConfig) -> dict[str, Any]:
    """Return {name: value} of what gives weights their meaning.

    Trained under another value they mean something else: sizes, kinds of layers, rotary positions,
    activation, scales and caps of attention and logits. Left out is what siblings may differ in,
    and of which a merge keeps the first model's: how far a model reads (max_position_embeddings,
    the width of sliding windows), rms_norm_eps (small beside the squares that it is added to),
    ids of special tokens (tokenizers are compared by themselves), dropout, dtype, use_cache, and
    which version of transformers wrote the file.

    Old and new spellings give the same: rope_theta, rope_scaling and rope_local_base_freq or
    rope_parameters, hidden_act or hidden_activation, layer_types or what implies them. In a config
    that transformers wrote, what is absent is the family's default; in a shorter one, such as a
    plan expects of a model that is not there yet, it is not known and left out.
    """
    written = "transformers_version" in config and config.get("model_type") in FAMILIES
    stated = by_name(config)
    found = {name: stated[name] for name in _SIZES if stated.get(name) is not None}
    if written:
        found |= {
            "num_key_value_heads": key_value_heads(config),
            "head_dim": head_dim(config),
            "tie_word_embeddings": ties_head(config),
            **_DEFAULTS[config["model_type"]],
        }
    activation = config.get("hidden_activation") or config.get("hidden_act")
    if activation is not None:
        found["hidden_act"] = activation
    found |= {name: stated[name] for name in _SCALES if name in stated}
    return {**found, **_layers(config, written), **_rotary(config, written)}


def _layers(config: ModelConfig, written: bool) -> dict[str, str]:
    """Return the kind of every layer."""
    stated = by_name(config)
    lists = {name: stated[name] for name in PER_LAYER_LISTS if isinstance(stated.get(name), list)}
    implied = layer_types(config) if written else None
    if implied is not None:
        lists["layer_types"] = implied
    return {
        f"{name}[{layer}]": kind
        for name, kinds in lists.items()
        for layer, kind in enumerate(kinds)
    }


def _rotary(config: ModelConfig, written: bool) -> dict[str, Any]:
    """Return the rotary parameters that are set, of each kind of layers where they differ."""
    stated = config.get("rope_scaling") or config.get("rope_parameters") or {}
    defaults = _ROPE if written else {}
    if any(isinstance(value, dict) for value in stated.values()):
        kinds = {f"{kind}.": dict(values or {}) for kind, values in stated.items()}
    elif config.get("model_type") == "gemma3_text":
        local = {"rope_theta": config.get("rope_local_base_freq")}
        kinds = {_GLOBAL: {"rope_theta": config.get("rope_theta"), **stated}, _LOCAL: local}
    else:
        outside = ("rope_theta", "partial_rotary_factor")
        kinds = {"": {**{name: by_name(config).get(name) for name in outside}, **stated}}
    found: dict[str, Any] = {}
    for kind, values in kinds.items():
        theta = {"rope_theta": 1_000_000.0} if written and kind == _GLOBAL else {}
        given = {name: value for name, value in _typed(values).items() if value is not None}
        found |= {f"{kind}{name}": value for name, value in {**defaults, **theta, **given}.items()}
    return found


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with their type under its new name."""
    older = values.pop("type", None)
    kind = values.get("rope_type") or older
    return {**values, "rope_type": "longrope" if kind == "su" else kind}
