"""The config values that determine how a model uses its weights, in one spelling."""

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
    """Return {name: value} of the config values that models must share to be merged.

    Included are sizes, types of layers, rotary embeddings, activation, and scales and caps of
    attention and logits: weights that were trained with other values compute something else.
    Models to merge may differ in the rest, where the merge takes the first model's:
    max_position_embeddings and the width of sliding windows, rms_norm_eps (negligible beside the
    mean square), ids of special tokens (tokenizers are compared separately), dropout, dtype,
    use_cache and the version of transformers.

    Old and new spellings give the same result: rope_theta, rope_scaling and rope_local_base_freq or
    rope_parameters, hidden_act or hidden_activation, layer_types or the settings that imply them. A
    value that is absent from a config that transformers wrote is the family's default; absent from
    a partial config, as a plan may have it, it is unknown and left out.
    """
    complete = "transformers_version" in config and config.get("model_type") in FAMILIES
    stated = by_name(config)
    semantics = {name: stated[name] for name in _SIZES if stated.get(name) is not None}
    if complete:
        semantics |= {
            "num_key_value_heads": key_value_heads(config),
            "head_dim": head_dim(config),
            "tie_word_embeddings": ties_head(config),
            **_DEFAULTS[config["model_type"]],
        }
    activation = config.get("hidden_activation") or config.get("hidden_act")
    if activation is not None:
        semantics["hidden_act"] = activation
    semantics |= {name: stated[name] for name in _SCALES if name in stated}
    return {**semantics, **_layers(config, complete), **_rotary(config, complete)}


def _layers(config: ModelConfig, complete: bool) -> dict[str, str]:
    """Return the type of every layer."""
    stated = by_name(config)
    lists = {name: stated[name] for name in PER_LAYER_LISTS if isinstance(stated.get(name), list)}
    implied = layer_types(config) if complete else None
    if implied is not None:
        lists["layer_types"] = implied
    return {
        f"{name}[{layer}]": kind
        for name, kinds in lists.items()
        for layer, kind in enumerate(kinds)
    }


def _rotary(config: ModelConfig, complete: bool) -> dict[str, Any]:
    """Return the rotary parameters, for each type of layer where they differ."""
    stated = config.get("rope_scaling") or config.get("rope_parameters") or {}
    defaults = _ROPE if complete else {}
    if any(isinstance(value, dict) for value in stated.values()):
        kinds = {f"{kind}.": dict(values or {}) for kind, values in stated.items()}
    elif config.get("model_type") == "gemma3_text":
        local = {"rope_theta": config.get("rope_local_base_freq")}
        kinds = {_GLOBAL: {"rope_theta": config.get("rope_theta"), **stated}, _LOCAL: local}
    else:
        top_level = ("rope_theta", "partial_rotary_factor")
        kinds = {"": {**{name: by_name(config).get(name) for name in top_level}, **stated}}
    parameters: dict[str, Any] = {}
    for kind, values in kinds.items():
        theta = {"rope_theta": 1_000_000.0} if complete and kind == _GLOBAL else {}
        known = {name: value for name, value in _typed(values).items() if value is not None}
        merged = {**defaults, **theta, **known}
        parameters |= {f"{kind}{name}": value for name, value in merged.items()}
    return parameters


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with their type under its current name, `rope_type`."""
    old_name = values.pop("type", None)
    kind = values.get("rope_type") or old_name
    return {**values, "rope_type": "longrope" if kind == "su" else kind}
