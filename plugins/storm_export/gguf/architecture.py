"""Mapping of a model's config to an architecture of llama.cpp and its hyperparameters."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from storm_exp import InputError
from storm_export.gguf.rotary import Rotary, rotary
from storm_models.families.architecture import (
    FAMILIES,
    head_dim,
    is_quantised,
    key_value_heads,
    tensor_shapes,
    ties_head,
)
from storm_models.families.attention import attention_windows
from storm_models.families.model_config import ModelConfig, by_name

_ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
}
_ACTIVATIONS = {"gemma2": "gelu_pytorch_tanh", "gemma3": "gelu_pytorch_tanh"}
_PERIODS = {"gemma2": 2, "gemma3": 6}
"""llama.cpp's default period: every period-th layer has full attention."""
_LARGEST_GEMMA = {"gemma2": 46, "gemma3": 62}
"""Number of layers by which llama.cpp recognises the model whose queries it scales by
hidden size / heads."""


@dataclasses.dataclass
class Architecture:
    """What a GGUF file contains of a model besides weights and tokenizer."""

    name: str
    keys: dict[str, Any]
    """Metadata: integers are unsigned, floats have 32 bits."""
    factors: dict[str, list[float]]
    """{tensor name: rotary frequency factors}"""
    remarks: list[str]
    """Differences between llama.cpp and transformers."""


def architecture(config: ModelConfig) -> Architecture:
    """Return the description of a model for llama.cpp.

    Raises InputError, naming the key of config.json, for a model that llama.cpp would compute
    differently from transformers.
    """
    family = config.get("model_type")
    if is_quantised(config):
        raise InputError("the model is quantised already: export the unquantised model instead")
    if family not in _ARCHITECTURES:
        known = ", ".join(FAMILIES)
        raise InputError(f"the family {family!r} cannot be exported to GGUF; supported: {known}")
    name = _ARCHITECTURES[str(family)]
    tensor_shapes(config)  # raises for sizes that contradict each other
    _check(config, name)
    rope = rotary(config, name)
    window, context, remarks = _windows(config, name)
    _check_head(config, name, rope)
    keys: dict[str, Any] = {
        "context_length": context,
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": key_value_heads(config),
        "attention.key_length": head_dim(config),
        "attention.value_length": head_dim(config),
        "attention.layer_norm_rms_epsilon": _epsilon(config),
        "vocab_size": config["vocab_size"],
        **window,
        **{f"rope.{key}": value for key, value in rope.keys.items()},
    }
    if name == "gemma2":
        keys["attn_logit_softcapping"] = _cap(config, "attn_logit_softcapping", 50.0)
        keys["final_logit_softcapping"] = _cap(config, "final_logit_softcapping", 30.0)
    return Architecture(
        name,
        {f"{name}.{key}": value for key, value in keys.items()},
        rope.factors,
        [*rope.remarks, *remarks],
    )


def _epsilon(config: ModelConfig) -> float:
    configured = config.get("rms_norm_eps")
    default = 1e-5 if config["model_type"] == "phi3" else 1e-6
    return default if configured is None else float(configured)


def _cap(config: ModelConfig, name: str, default: float) -> float:
    """Return Gemma 2's soft cap of logits; raises InputError for a model without it."""
    values = by_name(config)
    if name not in values:
        return default
    if not values[name]:
        raise InputError(
            f"{name}={values[name]!r}: llama.cpp's architecture 'gemma2' always caps logits"
        )
    return float(values[name])


def _check(config: ModelConfig, name: str) -> None:
    """Raise InputError for what llama.cpp's architecture of this name does not support."""
    supported = _ACTIVATIONS.get(name, "silu")
    key = "hidden_activation" if supported != "silu" else "hidden_act"
    activation = config.get(key) or supported
    if activation not in (supported, {"silu": "swish"}.get(supported)):
        raise InputError(f"{key}={activation!r}: llama.cpp's {name!r} computes {supported!r}")
    if config.get("attention_bias") and name != "llama":
        raise InputError(f"attention_bias=True: llama.cpp's {name!r} supports no such biases")
    if name in _PERIODS and not ties_head(config):
        raise InputError(f"tie_word_embeddings=False: llama.cpp's {name!r} always ties the head")
    if name == "gemma3":
        for key in ("attn_logit_softcapping", "final_logit_softcapping"):
            if by_name(config).get(key):
                raise InputError(
                    f"{key}={by_name(config)[key]!r}: llama.cpp's 'gemma3' caps no logits"
                )


def _check_head(config: ModelConfig, name: str, rope: Rotary) -> None:
    """Raise InputError for dimensions or scales of heads that the architecture lacks."""
    size, heads, hidden = head_dim(config), config["num_attention_heads"], config["hidden_size"]
    if rope.keys["dimension_count"] != size and name != "phi3":
        raise InputError(
            f"partial_rotary_factor: llama.cpp's {name!r} rotates all {size} channels of a head"
        )
    if name == "phi3" and size * heads != hidden:
        raise InputError(
            f"{heads} heads of {size} channels with a hidden size of {hidden}: llama.cpp's "
            "'phi3' needs heads × channels equal to the hidden size"
        )
    if name in _PERIODS:
        configured = config.get("query_pre_attn_scalar")
        scalar = 256 if configured is None else configured
        largest = config["num_hidden_layers"] == _LARGEST_GEMMA[name]
        computed = hidden // heads if largest else size
        if not math.isclose(scalar, computed):
            raise InputError(
                f"query_pre_attn_scalar={scalar}: llama.cpp's {name!r} scales this model's queries "
                f"by {computed}"
            )


def _windows(config: ModelConfig, name: str) -> tuple[dict[str, Any], int, list[str]]:
    """Return the keys of a sliding window, the context length to write, and remarks."""
    longest = int(config.get("max_position_embeddings") or 0)
    windows = attention_windows(config)
    width = min((each for each in windows if each is not None), default=longest)
    if name in _PERIODS:
        sliding = [each is not None for each in windows]
        period = _period(sliding, _PERIODS[name])
        if period is not None:
            keys = {"attention.sliding_window": width}
            if period != _PERIODS[name]:
                keys["attention.sliding_window_pattern"] = period
            return keys, longest, []
        if name == "gemma3":
            raise InputError(
                "layer_types: layers with full attention are not evenly spaced, as llama.cpp's "
                "'gemma3' requires"
            )
        keys = {"attention.sliding_window": width}
    else:
        keys = {}
    if width >= longest:
        return keys, longest, []
    remark = (
        f"the file's context length is {width} tokens, the model's sliding window: llama.cpp's "
        f"{name!r} does not support this window, and longer texts would be computed differently"
    )
    return keys, width, [remark]


def _period(sliding: list[bool], default: int) -> int | None:
    """Return the period of layers with full attention: 0 without any, None if irregular."""
    periods: list[int] = [default, *range(len(sliding) + 1)]
    for period in periods:
        if period == 0 and all(sliding):
            return 0
        if period and sliding == [layer % period < period - 1 for layer in range(len(sliding))]:
            return period
    return None
