"""Rotary positions in llama.cpp's words: keys, and factors for each pair of channels."""

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
    """What a file says of rotary positions."""

    keys: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Metadata below `ARCHITECTURE.rope.`."""
    factors: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """{name of a tensor: what each frequency is divided by}"""
    remarks: list[str] = dataclasses.field(default_factory=list)
    """What llama.cpp does otherwise than transformers."""


def rotary(config: ModelConfig, architecture: str) -> Rotary:
    """Return a model's rotary positions; raises InputError for what llama.cpp cannot compute."""
    if architecture == "gemma3":
        return _by_kind(config)
    stated = _stated(config)
    found = Rotary({"freq_base": float(stated.get("rope_theta") or _THETA)})
    found.keys["dimension_count"] = rotated_channels(config)
    kind = str(stated.get("rope_type") or stated.get("type") or "default")
    if kind in ("default", "none"):
        return found
    if kind == "linear":
        found.keys |= {"scaling.type": "linear", "scaling.factor": float(stated["factor"])}
    elif kind == "llama3" and architecture == "llama":
        found.factors["rope_freqs.weight"] = _llama3(stated, found.keys)
    elif kind == "yarn":
        found.keys |= _yarn(stated, config)
    elif kind in ("longrope", "su") and architecture in ("llama", "phi3"):
        _longrope(stated, config, found)
    else:
        raise InputError(
            f"rope_type={kind!r}: llama.cpp's architecture {architecture!r} cannot compute it"
        )
    return found


def rotated_channels(config: ModelConfig) -> int:
    """Return how many channels of a head turn with the position."""
    stated = _stated(config)
    part = stated.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0
    return int(head_dim(config) * part)


def _stated(config: ModelConfig, kind: str = "") -> dict[str, Any]:
    """Return the parameters of one kind of layers, in the words of transformers 5."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    if isinstance(found.get(kind or FULL), dict):
        found = dict(found[kind or FULL])
    if found.get("rope_theta") is None:
        found["rope_theta"] = config.get("rope_theta")
    return found


def _by_kind(config: ModelConfig) -> Rotary:
    """Return Gemma 3's: layers that see everything may be stretched, the others turn faster."""
    whole, sliding = _stated(config, FULL), _stated(config, SLIDING)
    nested = isinstance((config.get("rope_parameters") or {}).get(SLIDING), dict)
    if not nested:
        sliding = {"rope_theta": config.get("rope_local_base_freq")}
    keys: dict[str, Any] = {
        "freq_base": float(whole.get("rope_theta") or _GEMMA3_THETA[FULL]),
        "freq_base_swa": float(sliding.get("rope_theta") or _GEMMA3_THETA[SLIDING]),
        "dimension_count": rotated_channels(config),
    }
    for name, stated in (("full", whole), ("sliding", sliding)):
        kind = str(stated.get("rope_type") or stated.get("type") or "default")
        if kind == "linear" and name == "full":
            keys |= {"scaling.type": "linear", "scaling.factor": float(stated["factor"])}
        elif kind != "default":
            raise InputError(
                f"rope_type={kind!r} of {name}-attention layers: llama.cpp's architecture "
                "'gemma3' cannot compute it"
            )
    return Rotary(keys)


def _llama3(stated: dict[str, Any], keys: dict[str, Any]) -> list[float]:
    """Return Llama 3.1's factors: slow channels are slowed down, and some pass between.

    As in transformers' `_compute_llama3_parameters`, from Meta's reference code.
    """
    low, high = float(stated["low_freq_factor"]), float(stated["high_freq_factor"])
    context, factor = float(stated["original_max_position_embeddings"]), float(stated["factor"])
    channels = int(keys["dimension_count"])
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


def _yarn(stated: dict[str, Any], config: ModelConfig) -> dict[str, Any]:
    """Return YaRN's keys (Peng et al. 2023); llama.cpp has its attention factor built in."""
    for name, usual in (("beta_fast", 32.0), ("beta_slow", 1.0), ("truncate", True)):
        value = stated.get(name)
        if value is not None and value != usual:
            raise InputError(f"rope_parameters.{name}={value!r}: llama.cpp computes with {usual!r}")
    factor = float(stated["factor"])
    usual = 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0
    mscale, everywhere = stated.get("mscale"), stated.get("mscale_all_dim")
    scaled = stated.get("attention_factor")
    if (scaled is not None and not math.isclose(float(scaled), usual, rel_tol=1e-4)) or (
        mscale and everywhere
    ):
        raise InputError(
            f"rope_parameters.attention_factor={scaled!r} (mscale={mscale!r}): llama.cpp scales "
            f"attention by {usual:.4f}"
        )
    context = stated.get("original_max_position_embeddings") or config["max_position_embeddings"]
    return {
        "scaling.type": "yarn",
        "scaling.factor": factor,
        "scaling.original_context_length": int(context or 0),
    }


def _longrope(stated: dict[str, Any], config: ModelConfig, found: Rotary) -> None:
    """Add Phi-3's two lists of factors, and how much attention is scaled by (LongRoPE, 2024)."""
    longest = int(config.get("max_position_embeddings") or 0)
    context = int(
        by_name(config).get("original_max_position_embeddings")
        or stated.get("original_max_position_embeddings")
        or longest
    )
    ratio = longest / context
    scale = stated.get("attention_factor")
    if scale is None:
        scale = math.sqrt(1 + math.log(ratio) / math.log(context)) if ratio > 1 else 1.0
    found.keys |= {
        "scaling.type": "longrope",
        "scaling.attn_factor": float(scale),
        "scaling.original_context_length": context,
    }
    found.factors["rope_factors_long.weight"] = [float(each) for each in stated["long_factor"]]
    found.factors["rope_factors_short.weight"] = [float(each) for each in stated["short_factor"]]
    found.remarks.append(
        f"llama.cpp reads every text by the long factors when it is started with more than "
        f"{context} positions, transformers only texts that are longer"
    )
