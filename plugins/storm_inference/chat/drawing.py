"""How the tokens of an answer are drawn: generation_config.json, and what is said over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from storm_exp import InputError

MOST = 1024
"""Tokens of an answer, where nobody says how many."""
_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_k": (0, 1 << 31),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 100),
    "max_new_tokens": (1, 1 << 31),
}
_WHOLE = ("top_k", "max_new_tokens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """What draws the next token, by the names of generation_config.json."""

    temperature: float = 0.0
    """0 takes the most probable token at every step."""
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = MOST
    seed: int = 0

    @classmethod
    def of(
        cls, config: Mapping[str, Any], said: Mapping[str, float | None], *, seed: int = 0
    ) -> Self:
        """Return what a generation_config.json holds, and over it what the user `said`.

        A temperature is drawn with unless `do_sample` is false; without either, the most probable
        token is taken. Raises InputError for a number that is out of its bounds.
        """
        values: dict[str, Any] = {}
        for name, (least, most) in _BOUNDS.items():
            value = said.get(name)
            if value is None:
                value = config.get(name)
            if value is None:
                continue
            real = isinstance(value, int | float) and not isinstance(value, bool)
            if not real or not least <= value <= most:
                raise InputError(f"{name}={value!r} should be a number from {least:g} to {most:g}")
            values[name] = int(value) if name in _WHOLE else float(value)
        if said.get("temperature") is None:
            sampled = config.get("do_sample")
            if sampled is False:
                values["temperature"] = 0.0
            elif sampled is True:
                values.setdefault("temperature", 1.0)
        return cls(seed=seed, **values)
