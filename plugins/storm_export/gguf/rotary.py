"""Conversion of rotary position embeddings: metadata, and frequency factors as tensors."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from storm_exp import InputError
from storm_models.families.architecture import head_dim
from storm_models.families.attention import FULL, SLIDING
from storm_models.families.model_config import ModelConfig, by_name

_THETA = 10_000.0
_GEMMA3_THETA = {FULL: 1_000_000.0, SLIDING: 10_000.0}


@dataclasses.dataclass
class Rotary:
    """Rotary position embeddings as a GGUF file stores them."""

    keys: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Metadata below `ARCHITECTURE.rope.`."""
    factors: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """{tensor name: divisor of each frequency}"""
    remarks: list[str] = dataclasses.field(default_factory=list)
    """Differences between llama.cpp and transformers."""


def rotary(config: ModelConfig, architecture: str) -> Rotary:
    """Return the model's RoPE for llama.cpp; raises InputError for a type it does not support."""
    if architecture == "gemma3":
        return _gemma3(config)
    parameters = _parameters(config)
    rope = Rotary({"freq_base": float(parameters.get("rope_theta") or _THETA)})
    rope.keys["dimension_count"] = rotated_channels(config)
    kind = _rope_type(parameters)
    if kind in ("default", "none"):
        return rope
    if kind == "linear":
        rope.keys |= {"scaling.type": "linear", "scaling.factor": float(parameters["factor"])}
    elif kind == "llama3" and architecture == "llama":
        rope.factors["rope_freqs.weight"] = _llama3(parameters, rope.keys)
    elif kind == "yarn":
        rope.keys |= _yarn(parameters, config)
    elif kind in ("longrope", "su") and architecture in ("llama", "phi3"):
        _longrope(parameters, config, rope)
    else:
        raise InputError(
            f"rope_type={kind!r}: llama.cpp's architecture {architecture!r} does not support it"
        )
    return rope


def rotated_channels(config: ModelConfig) -> int:
    """Return how many channels of a head are rotated."""
    factor = _parameters(config).get("partial_rotary_factor")
    return int(head_dim(config) * (factor or config.get("partial_rotary_factor") or 1.0))


def _parameters(config: ModelConfig, layer_type: str = FULL) -> dict[str, Any]:
    """Return the `rope_parameters` of a type of layers, as transformers 5 names them."""
    parameters = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    if isinstance(parameters.get(layer_type), dict):
        parameters = dict(parameters[layer_type])
    if parameters.get("rope_theta") is None:
        parameters["rope_theta"] = config.get("rope_theta")
    return parameters


def _rope_type(parameters: dict[str, Any]) -> str:
    return str(parameters.get("rope_type") or parameters.get("type") or "default")


def _gemma3(config: ModelConfig) -> Rotary:
    """Return Gemma 3's RoPE: scaled in layers with full attention, another θ in the others."""
    whole, sliding = _parameters(config, FULL), _parameters(config, SLIDING)
    nested = isinstance((config.get("rope_parameters") or {}).get(SLIDING), dict)
    if not nested:
        sliding = {"rope_theta": config.get("rope_local_base_freq")}
    keys: dict[str, Any] = {
        "freq_base": float(whole.get("rope_theta") or _GEMMA3_THETA[FULL]),
        "freq_base_swa": float(sliding.get("rope_theta") or _GEMMA3_THETA[SLIDING]),
        "dimension_count": rotated_channels(config),
    }
    for name, parameters in (("full", whole), ("sliding", sliding)):
        kind = _rope_type(parameters)
        if kind == "linear" and name == "full":
            keys |= {"scaling.type": "linear", "scaling.factor": float(parameters["factor"])}
        elif kind != "default":
            raise InputError(
                f"rope_type={kind!r} of {name}-attention layers: llama.cpp's architecture "
                "'gemma3' does not support it"
            )
    return Rotary(keys)


def _llama3(parameters: dict[str, Any], keys: dict[str, Any]) -> list[float]:
    """Return Llama 3.1's factors: low frequencies are divided, with a smooth transition.

    As in transformers' `_compute_llama3_parameters`, from Meta's reference code.
    """
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    context = float(parameters["original_max_position_embeddings"])
    factor, channels = float(parameters["factor"]), int(keys["dimension_count"])
    factors = []
    for channel in range(0, channels, 2):
        wave = 2 * math.pi * float(keys["freq_base"]) ** (channel / channels)
        if wave < context / high:
            factors.append(1.0)
        elif wave > context / low:
            factors.append(factor)
        else:
            smooth = (context / wave - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def _yarn(parameters: dict[str, Any], config: ModelConfig) -> dict[str, Any]:
    """Return YaRN's metadata (Peng et al. 2023); llama.cpp computes the attention factor itself."""
    for name, fixed in (("beta_fast", 32.0), ("beta_slow", 1.0), ("truncate", True)):
        value = parameters.get(name)
        if value is not None and value != fixed:
            raise InputError(f"rope_parameters.{name}={value!r}: llama.cpp computes with {fixed!r}")
    factor = float(parameters["factor"])
    computed = 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0
    mscale, everywhere = parameters.get("mscale"), parameters.get("mscale_all_dim")
    scale = parameters.get("attention_factor")
    if (scale is not None and not math.isclose(float(scale), computed, rel_tol=1e-4)) or (
        mscale and everywhere
    ):
        raise InputError(
            f"rope_parameters.attention_factor={scale!r} (mscale={mscale!r}): llama.cpp scales "
            f"attention by {computed:.4f}"
        )
    original = parameters.get("original_max_position_embeddings")
    context = original or config["max_position_embeddings"]
    return {
        "scaling.type": "yarn",
        "scaling.factor": factor,
        "scaling.original_context_length": int(context or 0),
    }


def _longrope(parameters: dict[str, Any], config: ModelConfig, rope: Rotary) -> None:
    """Add Phi-3's two lists of factors and the scale of attention (LongRoPE, 2024)."""
    longest = int(config.get("max_position_embeddings") or 0)
    context = int(
        by_name(config).get("original_max_position_embeddings")
        or parameters.get("original_max_position_embeddings")
        or longest
    )
    ratio = longest / context
    scale = parameters.get("attention_factor")
    if scale is None:
        scale = math.sqrt(1 + math.log(ratio) / math.log(context)) if ratio > 1 else 1.0
    rope.keys |= {
        "scaling.type": "longrope",
        "scaling.attn_factor": float(scale),
        "scaling.original_context_length": context,
    }
    rope.factors["rope_factors_long.weight"] = [float(each) for each in parameters["long_factor"]]
    rope.factors["rope_factors_short.weight"] = [float(each) for each in parameters["short_factor"]]
    rope.remarks.append(
        f"llama.cpp uses the long factors for every text if it is started with more than "
        f"{context} positions, transformers only for texts that are longer than that"
    )
