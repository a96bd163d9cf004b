"""The layers of a model that use sliding-window attention, from its config alone."""

from __future__ import annotations

from storm_models.families.model_config import ModelConfig
from storm_models.families.rope import short_context

SLIDING, FULL = "sliding_attention", "full_attention"

_MIXED = ("qwen2", "qwen3", "gemma2", "gemma3_text")
"""Families whose layers differ in kind."""
_ALIKE = ("mistral", "phi3")
"""Families whose layers all use the window if there is one."""
_DEFAULT_WINDOW = dict.fromkeys(("mistral", *_MIXED), 4096)
_FIRST_SLIDING = 28
_PERIOD = 6


def layer_types(config: ModelConfig) -> list[str] | None:
    """Return every layer's attention kind, stated or implied; None for families of one kind."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        return list(kinds)
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


def attention_windows(config: ModelConfig) -> list[int | None]:
    """Return each layer's window in tokens, None for full attention."""
    family, window = config["model_type"], _window(config)
    if family in _MIXED:
        return [window if kind == SLIDING else None for kind in layer_types(config) or ()]
    return [window if family in _ALIKE else None] * config["num_hidden_layers"]


def longest_prompt(config: ModelConfig) -> tuple[int | None, str]:
    """Return the most tokens of a prompt under a custom attention mask, and what sets the limit.

    A custom mask does not follow sliding windows, so a prompt has to fit into them. Prompts that
    share a prefix must be read with the same rotary factors. None where the config does not say.
    """
    limits: dict[str, int] = {}
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int):
        limits[f"the model has {positions} positions"] = positions
    if context := short_context(config):
        limits[f"prompts beyond {context} tokens use other rotary factors"] = context
    if config.get("model_type") in (*_MIXED, *_ALIKE) and isinstance(
        config.get("num_hidden_layers"), int
    ):
        for window in filter(None, attention_windows(config)):
            limits[f"layers of the model attend through a window of {window} tokens"] = window
    elif isinstance(stated := config.get("sliding_window"), int) and _slides(config):
        limits[f"the model attends through a window of {stated} tokens"] = stated
    if not limits:
        return None, ""
    reason = min(limits, key=lambda text: limits[text])
    return limits[reason], reason


def _slides(config: ModelConfig) -> bool:
    kinds = config.get("layer_types")
    stated = bool(config.get("use_sliding_window", True))
    return stated and (not isinstance(kinds, list) or SLIDING in kinds)


def _window(config: ModelConfig) -> int | None:
    family = config.get("model_type")
    if family in ("qwen2", "qwen3") and not config.get("use_sliding_window"):
        return None
    window: int | None = config.get("sliding_window", _DEFAULT_WINDOW.get(str(family)))
    return window


def _kind(sliding: bool) -> str:
    return SLIDING if sliding else FULL
