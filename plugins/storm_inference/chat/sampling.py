"""Sampling of answers: generation_config.json, overridden by the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from storm_exp import InputError
from storm_models.folder.generation_config import GENERATION_FILE

MAX_NEW_TOKENS = 1024
"""Default maximum length of an answer."""
BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_k": (0, 1 << 31),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "max_new_tokens": (1, 1 << 31),
}
"""{parameter: its least and its greatest value}"""
_WHOLE = ("top_k", "max_new_tokens")
_OPTIONS = {"max_new_tokens": "--max-tokens"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Sampling parameters, named as in generation_config.json."""

    temperature: float = 0.0
    """0: the most probable token is chosen."""
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = MAX_NEW_TOKENS
    seed: int = 0

    @classmethod
    def of(
        cls, config: Mapping[str, Any], stated: Mapping[str, float | None], *, seed: int = 0
    ) -> Self:
        """Return the parameters of a generation_config.json, overridden by those `stated`.

        The config's temperature is used unless its `do_sample` is false. Without a temperature, the
        most probable token is chosen, or with `do_sample` the temperature is 1. Raises InputError
        for a value that is out of bounds.
        """
        values: dict[str, Any] = {}
        for name, (least, most) in BOUNDS.items():
            value, source = stated.get(name), _OPTIONS.get(name, f"--{name.replace('_', '-')}")
            if value is None:
                value, source = config.get(name), f"{GENERATION_FILE}: {name}"
            if value is None:
                continue
            if not in_bounds(name, value):
                raise InputError(
                    f"{source}={value!r} should be a number from {least:g} to {most:g}"
                )
            values[name] = int(value) if name in _WHOLE else float(value)
        if stated.get("temperature") is None:
            do_sample = config.get("do_sample")
            if do_sample is False:
                values["temperature"] = 0.0
            elif do_sample is True:
                values.setdefault("temperature", 1.0)
        return cls(seed=seed, **values)


def in_bounds(name: str, value: object) -> bool:
    """Return whether a value is a number within the bounds of a parameter."""
    least, most = BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most
