"""The keys and sizes that the config of a new model may have."""

from __future__ import annotations

from typing import Any

from storm_exp import InputError, SettingError, did_you_mean
from storm_models.families.architecture import (
    FAMILIES,
    SIZES,
    head_dim,
    key_value_heads,
    stated_head_dim,
)
from storm_models.families.model_config import model_config

_EVERY_FAMILY = (
    "model_type",
    *SIZES,
    "architectures",
    "attention_dropout",
    "bos_token_id",
    "chunk_size_feed_forward",
    "eos_token_id",
    "head_dim",
    "id2label",
    "initializer_range",
    "is_encoder_decoder",
    "label2id",
    "max_position_embeddings",
    "num_key_value_heads",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "tie_word_embeddings",
    "transformers_version",
    "use_cache",
)
_QWEN = ("hidden_act", "layer_types", "max_window_layers", "sliding_window", "use_sliding_window")
_GEMMA = (
    "attention_bias",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "hidden_activation",
    "layer_types",
    "query_pre_attn_scalar",
    "sliding_window",
    "use_bidirectional_attention",
)
_PHI = (
    "embd_pdrop",
    "hidden_act",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "resid_pdrop",
    "sliding_window",
)
_FURTHER: dict[str, tuple[str, ...]] = {
    "llama": ("attention_bias", "hidden_act", "mlp_bias", "pretraining_tp"),
    "mistral": ("hidden_act", "sliding_window"),
    "qwen2": _QWEN,
    "qwen3": ("attention_bias", *_QWEN),
    "gemma2": _GEMMA,
    "gemma3_text": (*_GEMMA, "rope_local_base_freq", "sliding_window_pattern"),
    "phi3": _PHI,
}

ACTIVATIONS = (
    "gelu",
    "gelu_10",
    "gelu_accurate",
    "gelu_fast",
    "gelu_new",
    "gelu_python",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "hardswish",
    "laplace",
    "leaky_relu",
    "linear",
    "mish",
    "quick_gelu",
    "relu",
    "relu2",
    "relu6",
    "sigmoid",
    "silu",
    "sqrtsoftplus",
    "swish",
    "tanh",
)
"""transformers' activations, except those with trained weights."""

_NEEDED = [name for name in SIZES if name != "vocab_size"]
_OPTIONAL = ("vocab_size", "max_position_embeddings", "head_dim", "num_key_value_heads")
_NULLABLE = {
    "head_dim": ("llama", "mistral", "qwen2", "phi3"),
    "num_key_value_heads": ("llama", "qwen2", "qwen3", "phi3"),
}
_WHOLE_HEADS = ("llama", "gemma2", "gemma3_text")
"""Families whose hidden_size must be a multiple of the heads even with a stated head_dim."""


def known_keys(family: str) -> tuple[str, ...]:
    """Return the keys that a config of `family` may have, without dtypes."""
    return (*_EVERY_FAMILY, *_FURTHER[family])


def check_new_config(config: dict[str, Any]) -> None:
    """Raise SettingError for what transformers would refuse or ignore in a new model's config.

    The vocabulary may be missing: it comes with the tokenizer.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        problem = f"must be one of {', '.join(FAMILIES)}{did_you_mean(str(family), FAMILIES)}"
        raise SettingError("config.model_type", family, problem)
    _check_keys(config)
    _check_counts(config)
    _check_heads(config)
    _check_activation(config)


def _check_keys(config: dict[str, Any]) -> None:
    family = config["model_type"]
    known = known_keys(family)
    for name, value in config.items():
        if name in ("dtype", "torch_dtype"):
            problem = "is set by the setting `dtype`, beside `config`"
            raise SettingError(f"config.{name}", value, problem)
        if name not in known:
            problem = f"the config of a {family} model has no such key{did_you_mean(name, known)}"
            raise SettingError(f"config.{name}", value, problem)


def _check_counts(config: dict[str, Any]) -> None:
    stated = [name for name in _OPTIONAL if name in config]
    nullable = [name for name, families in _NULLABLE.items() if config["model_type"] in families]
    for name in (*_NEEDED, *stated):
        value = config.get(name)
        if value is None and name in nullable:
            continue
        if type(value) is not int or value < 1:
            raise SettingError(f"config.{name}", value, "must be a positive whole number")


def _check_heads(config: dict[str, Any]) -> None:
    family, hidden, heads = (
        config[name] for name in ("model_type", "hidden_size", "num_attention_heads")
    )
    stated = stated_head_dim(model_config(config)) is not None
    if hidden % heads and (not stated or family in _WHOLE_HEADS):
        problem = f"must be a multiple of num_attention_heads={heads}"
        raise SettingError("config.hidden_size", hidden, problem)
    size = head_dim(model_config(config))
    if size % 2 and stated:
        raise SettingError("config.head_dim", size, "must be even: positions rotate pairs")
    if size % 2:
        problem = f"gives each of {heads} heads {size} channels, which must be an even number"
        raise SettingError("config.hidden_size", hidden, problem)
    try:
        key_value_heads(model_config(config))
    except InputError as error:
        problem = str(error).removeprefix("config.json: ")
        name = "num_key_value_heads"
        raise SettingError(f"config.{name}", config.get(name), problem) from error


def _check_activation(config: dict[str, Any]) -> None:
    for name in ("hidden_act", "hidden_activation"):
        value = config.get(name, ACTIVATIONS[0])
        if value not in ACTIVATIONS:
            problem = "is not an activation of transformers" + did_you_mean(str(value), ACTIVATIONS)
            raise SettingError(f"config.{name}", value, problem)
