"""Checks of the types and ranges in config.json, before anything is computed from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from storm_exp import InputError
from storm_models.families.architecture import FAMILIES, LARGEST_SIZE, MOST_LAYERS
from storm_models.folder.generation_config import special_ids

_EVERY_FAMILY = ("vocab_size", "max_position_embeddings")
"""Sizes that mean the same whatever the family."""
_KNOWN_FAMILIES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "sliding_window",
    "original_max_position_embeddings",
)
_PERIODS = ("sliding_window_pattern", "_sliding_window_pattern")
_SWITCHES = ("tie_word_embeddings", "use_sliding_window", "attention_bias", "mlp_bias")
_WORDS = ("dtype", "torch_dtype", "hidden_act", "hidden_activation", "transformers_version")
_OBJECTS = ("quantization_config", "rope_parameters", "rope_scaling", "auto_map")
_NUMBERS = (
    "rope_theta",
    "rope_local_base_freq",
    "partial_rotary_factor",
    "rms_norm_eps",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "attention_dropout",
)


_DEEPEST = 50


def check_config(config: dict[str, Any], source: str) -> None:
    """Raise InputError, naming `source` and the key, for values that no model can have.

    Sizes are positive whole numbers below bounds that no model reaches; null counts as absent. For
    unknown families, only keys that mean the same in all families are checked.
    """
    family = config.get("model_type")
    _check_each(config, ("model_type",), lambda value: isinstance(value, str), "a word", source)
    _check_each(config, _EVERY_FAMILY, _is_size, "a positive whole number", source)
    _check_each(config, ("architectures",), _are_words, "a list of words", source)
    _check_each(config, _OBJECTS, lambda value: isinstance(value, dict), "an object", source)
    special_ids(config, source)
    if family not in FAMILIES:
        return
    _check_each(config, _KNOWN_FAMILIES, _is_size, "a positive whole number", source)
    _check_each(config, _PERIODS, _is_size, "a positive whole number", source)
    _check_each(
        config, ("num_hidden_layers",), _is_depth, f"a number from 1 to {MOST_LAYERS}", source
    )
    _check_each(config, ("max_window_layers",), _is_place, "a whole number", source)
    _check_each(config, _SWITCHES, lambda value: isinstance(value, bool), "true or false", source)
    _check_each(config, _WORDS, lambda value: isinstance(value, str), "a word", source)
    _check_each(config, _NUMBERS, _is_number, "a number", source)
    _check_each(
        config, ("rope_parameters", "rope_scaling"), _is_rotary, "numbers and words", source
    )
    _check_each(config, ("layer_types",), _are_words, "a list of words", source)
    kinds, depth = config.get("layer_types"), config.get("num_hidden_layers")
    if kinds is not None and depth is not None and len(kinds) != depth:
        raise InputError(f"{source}: layer_types has {len(kinds)} entries for {depth} layers")


def finite(value: Any, depth: int = _DEEPEST) -> Any:
    """Return a JSON value with infinity and NaN in the form in which transformers writes them.

    Mamba's configs hold `Infinity` as a limit. Raises InputError for too deep nesting.
    """
    if depth == 0:
        raise InputError(f"config.json: nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        return {name: finite(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [finite(item, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"}
    return value


def _check_each(
    config: dict[str, Any],
    names: tuple[str, ...],
    fits: Callable[[Any], bool],
    right: str,
    source: str,
) -> None:
    for name in names:
        value = config.get(name)
        if value is not None and not fits(value):
            shown = repr(value)
            shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
            raise InputError(f"{source}: {name}={shown} should be {right}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_SIZE


def _is_depth(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_LAYERS


def _is_place(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SIZE


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST_SIZE


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_rotary(value: dict[str, Any]) -> bool:
    """Return whether these are rotary parameters of one kind of layer, or one dict per kind."""
    nested = [item for item in value.values() if isinstance(item, dict)]
    if nested:
        return all(item is None or isinstance(item, dict) for item in value.values()) and all(
            _is_rotary(item) and not any(isinstance(inner, dict) for inner in item.values())
            for item in nested
        )
    return all(
        item is None
        or isinstance(item, str | bool)
        or _is_number(item)
        or (isinstance(item, list) and all(_is_number(inner) for inner in item))
        for item in value.values()
    )
