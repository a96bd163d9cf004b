"""Which layers of a model attend through a window, and how wide it is, from its config alone."""

from __future__ import annotations

from typing import Any

SLIDING, FULL = "sliding_attention", "full_attention"

_MIXED = ("qwen2", "qwen3", "gemma2", "gemma3_text")
"""Families whose layers differ in kind."""
_ALIKE = ("mistral", "phi3")
"""Families whose layers all slide as soon as there is a window."""
_DEFAULT_WINDOW = dict.fromkeys(("mistral", *_MIXED), 4096)
_FIRST_SLIDING = 28
_PERIOD = 6


def layer_types(config: dict[str, Any]) -> list[str] | None:
    """Return the kind of every layer, stated or implied; None for families of one kind."""
    if isinstance(config.get("layer_types"), list):
        return list(config["layer_types"])
    family, depth = config.get("model_type"), range(config["num_hidden_layers"])
    if family in ("qwen2", "qwen3"):
        stated = config.get("max_window_layers")
        first = _FIRST_SLIDING if stated is None else stated
        return [_kind(_window(config) is not None and layer >= first) for layer in depth]
    if family == "gemma2":
        return [_kind(layer % 2 == 0) for layer in depth]
    if family == "gemma3_text":
        stated = config.get("sliding_window_pattern", config.get("_sliding_window_pattern"))
        period = _PERIOD if stated is None else stated
        return [_kind((layer + 1) % period != 0) for layer in depth]
    return None


def attention_windows(config: dict[str, Any]) -> list[int | None]:
    """Return for every layer how many tokens a query sees at most, None for all before it."""
    family, window = config["model_type"], _window(config)
    if family in _MIXED:
        return [window if kind == SLIDING else None for kind in layer_types(config) or ()]
    return [window if family in _ALIKE else None] * config["num_hidden_layers"]


def _window(config: dict[str, Any]) -> int | None:
    family = config.get("model_type")
    if family in ("qwen2", "qwen3") and not config.get("use_sliding_window"):
        return None
    window: int | None = config.get("sliding_window", _DEFAULT_WINDOW.get(str(family)))
    return window


def _kind(sliding: bool) -> str:
    return SLIDING if sliding else FULL
