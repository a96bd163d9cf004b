"""Settings of a generation_config.json."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from storm_exp import SettingError, did_you_mean
from storm_inference.chat.sampling import BOUNDS, in_bounds

_USUAL = (*BOUNDS, "do_sample")
DEFAULTS: dict[str, Any] = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "max_length": 20,
    "min_length": 0,
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "early_stopping": False,
    "diversity_penalty": 0.0,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
}
"""The values of absent settings, from the documentation of transformers' GenerationConfig."""
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
_INTERNAL = re.compile(
    r"_.*|.*_ids?|output_.*|return_dict.*|use_cache|cache_.*|max_cache_len|.*compile.*|.*assistant.*"
    r"|.*lookback|.*lookbehind|transformers_version|generation_kwargs|low_memory|prefill_.*"
)
"""Names that do not change what is generated: tokens, forms of results, caches, compilation."""


def check_generation(values: Mapping[str, Any]) -> None:
    """Raise SettingError for a name that transformers does not know, or a value out of bounds."""
    known: Collection[str] = _USUAL
    if any(name not in known for name in values):
        from transformers import GenerationConfig  # takes seconds to import

        known = GenerationConfig().to_dict().keys()
    for name, value in values.items():
        setting = f"generation.{name}"
        if name not in known:
            problem = f"is not in transformers' GenerationConfig{did_you_mean(name, known)}"
            raise SettingError(setting, value, problem)
        if name in BOUNDS and not in_bounds(name, value):
            least, most = BOUNDS[name]
            raise SettingError(setting, value, f"should be a number from {least:g} to {most:g}")


def shown_generation(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a generation_config.json that change what transformers generates."""
    unused = _SAMPLING if config.get("do_sample") is False else ()
    return {
        name: value
        for name, value in config.items()
        if not (_INTERNAL.fullmatch(name) or name in unused)
        and value not in (None, [], {}, DEFAULTS.get(name))
    }
