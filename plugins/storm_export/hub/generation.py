"""Settings of a generation_config.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from storm_exp import SettingError, did_you_mean
from storm_inference.chat.sampling import BOUNDS, in_bounds

_USUAL = (*BOUNDS, "do_sample")


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
