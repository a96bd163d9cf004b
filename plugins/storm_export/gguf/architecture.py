"""Which of llama.cpp's architectures computes a model, with which sizes, or why none does."""

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
"""Of which number of layers the last attends to everything, where a file does not say it."""
_LARGEST_GEMMA = {"gemma2": 46, "gemma3": 62}
"""Layers of the model whose queries llama.cpp scales by hidden size over heads."""


@dataclasses.dataclass
class Architecture:
    """What a file says of a model besides its tensors and its tokenizer."""

    name: str
    keys: dict[str, Any]
    """Metadata: ints are unsigned, floats have 32 bits."""
    factors: dict[str, list[float]]
    """Tensors of rotary factors."""
    remarks: list[str]
    """What llama.cpp does otherwise than transformers."""


def architecture(config: ModelConfig) -> Architecture:
    """Return how a file describes a model.

    Raises InputError, naming the key of config.json, for a model that llama.cpp would compute
    otherwise than transformers.
    """
    family = config.get("model_type")
    if is_quantised(config):
        raise InputError("the model is quantised already: export the one that it was made from")
    if family not in _ARCHITECTURES:
        known = ", ".join(FAMILIES)
        raise InputError(f"a model of the family {family!r} cannot be written as GGUF: {known} can")
    name = _ARCHITECTURES[str(family)]
    tensor_shapes(config)  # raises for sizes that contradict each other
    _check(config, name)
    turning = rotary(config, name)
    window, context, remarks = _windows(config, name)
    _check_head(config, name, turning)
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
        **{f"rope.{key}": value for key, value in turning.keys.items()},
    }
    if name == "gemma2":
        keys["attn_logit_softcapping"] = _cap(config, "attn_logit_softcapping", 50.0)
        keys["final_logit_softcapping"] = _cap(config, "final_logit_softcapping", 30.0)
    return Architecture(
        name,
        {f"{name}.{key}": value for key, value in keys.items()},
        turning.factors,
        [*turning.remarks, *remarks],
    )


def _epsilon(config: ModelConfig) -> float:
    stated = config.get("rms_norm_eps")
    usual = 1e-5 if config["model_type"] == "phi3" else 1e-6
    return usual if stated is None else float(stated)


def _cap(config: ModelConfig, name: str, usual: float) -> float:
    """Return at what Gemma 2 caps logits; raises InputError where it does not."""
    values = by_name(config)
    if name not in values:
        return usual
    if not values[name]:
        raise InputError(f"{name}={values[name]!r}: llama.cpp's architecture 'gemma2' always caps")
    return float(values[name])


def _check(config: ModelConfig, name: str) -> None:
    """Raise InputError for what the architecture of this name has no room for."""
    usual = _ACTIVATIONS.get(name, "silu")
    stated = config.get("hidden_activation" if usual != "silu" else "hidden_act") or usual
    if stated not in (usual, {"silu": "swish"}.get(usual)):
        raise InputError(f"hidden_act={stated!r}: llama.cpp's {name!r} computes {usual!r}")
    if config.get("attention_bias") and name != "llama":
        raise InputError(f"attention_bias=True: llama.cpp's {name!r} has no such biases")
    if name in _PERIODS and not ties_head(config):
        raise InputError(f"tie_word_embeddings=False: in llama.cpp's {name!r} the head is tied")
    if name == "gemma3":
        for key in ("attn_logit_softcapping", "final_logit_softcapping"):
            if by_name(config).get(key):
                raise InputError(
                    f"{key}={by_name(config)[key]!r}: llama.cpp's 'gemma3' caps nothing"
                )


def _check_head(config: ModelConfig, name: str, turning: Rotary) -> None:
    """Raise InputError for sizes of heads that the architecture does not compute with."""
    size, heads, hidden = head_dim(config), config["num_attention_heads"], config["hidden_size"]
    if turning.keys["dimension_count"] != size and name != "phi3":
        raise InputError(
            f"partial_rotary_factor: llama.cpp's {name!r} turns all {size} channels of a head"
        )
    if name == "phi3" and size * heads != hidden:
        raise InputError(
            f"{heads} heads of {size} channels beside a hidden size of {hidden}: llama.cpp's "
            "'phi3' wants queries as wide as the hidden state"
        )
    if name in _PERIODS:
        stated = config.get("query_pre_attn_scalar")
        largest = config["num_hidden_layers"] == _LARGEST_GEMMA[name]
        computed = hidden // heads if largest else size
        if not math.isclose(256 if stated is None else stated, computed):
            raise InputError(
                f"query_pre_attn_scalar={256 if stated is None else stated}: llama.cpp's {name!r} "
                f"scales queries of this model by {computed}"
            )


def _windows(config: ModelConfig, name: str) -> tuple[dict[str, Any], int, list[str]]:
    """Return the keys of a sliding window, the context within which they hold, and remarks."""
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
                "layer_types: the layers that attend to everything do not come at equal "
                "distances, as llama.cpp's 'gemma3' has them"
            )
        keys = {"attention.sliding_window": width}
    else:
        keys = {}
    if width >= longest:
        return keys, longest, []
    remark = (
        f"the file says a context of {width} tokens, as wide as layers see: llama.cpp's {name!r} "
        "has no windows like this model's, and reads longer texts otherwise"
    )
    return keys, width, [remark]


def _period(sliding: list[bool], usual: int) -> int | None:
    """Return the period after which a layer attends to everything, None where there is none."""
    periods: list[int] = [usual, *range(len(sliding) + 1)]
    for period in periods:
        if period == 0 and all(sliding):
            return 0
        if period and sliding == [at % period < period - 1 for at in range(len(sliding))]:
            return period
    return None
