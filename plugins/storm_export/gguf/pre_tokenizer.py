"""Recognition of pre-tokenizers that llama.cpp implements, by their definitions."""

from __future__ import annotations

import json
from typing import Any

from storm_exp import InputError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LLAMA3 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

Step = tuple[str, str]
_GPT2: Step = ("bytes", "words")
_BYTES: Step = ("bytes", "")
_DIGITS: Step = ("digits", "")

_NAMES: dict[tuple[tuple[Step, ...], bool], str] = {
    ((_GPT2,), False): "gpt-2",
    ((_DIGITS, _GPT2), False): "smollm",
    ((("split", _LLAMA3), _BYTES), True): "llama-bpe",
    ((("split", _LLAMA3), _BYTES), False): "smaug-bpe",
    ((("split", _QWEN2), _BYTES), False): "qwen2",
    ((("split", _TEKKEN), _BYTES), True): "tekken",
}
"""{(steps, ignore_merges): name}, after llama-vocab.cpp. `starcoder` and `refact` are other names
of `smollm`: single digits, then GPT-2's words."""


def pre_tokenizer_name(content: dict[str, Any]) -> str:
    """Return llama.cpp's name of a tokenizer.json's pre-tokenizer.

    Raises InputError, quoting the definition, for one that llama.cpp does not implement.
    """
    definition = content.get("pre_tokenizer")
    ignores = bool((content.get("model") or {}).get("ignore_merges"))
    steps = _steps(definition)
    name = None if steps is None else _NAMES.get((steps, ignores))
    if name is None:
        shown = json.dumps(definition, ensure_ascii=False)
        shown = shown if len(shown) <= 300 else f"{shown[:300]}…"
        known = ", ".join(sorted(set(_NAMES.values())))
        raise InputError(
            f"tokenizer.json: llama.cpp has no pre-tokenizer like {shown} "
            f"(ignore_merges={ignores}); supported: {known}"
        )
    return name


def _steps(definition: Any) -> tuple[Step, ...] | None:
    """Return a pre-tokenizer as steps, None if one of them is not supported."""
    if not isinstance(definition, dict):
        return None
    parts = definition["pretokenizers"] if definition.get("type") == "Sequence" else [definition]
    steps = [_step(part) for part in parts]
    return None if None in steps else tuple(step for step in steps if step is not None)


def _step(part: dict[str, Any]) -> Step | None:
    kind = part.get("type")
    if kind == "ByteLevel" and not part.get("add_prefix_space"):
        return _GPT2 if part.get("use_regex", True) else _BYTES
    if kind == "Digits" and part.get("individual_digits"):
        return _DIGITS
    if kind == "Split" and not part.get("invert") and part.get("behavior") == "Isolated":
        pattern = part.get("pattern") or {}
        return ("split", str(pattern.get("Regex")))
    return None
