"""Special tokens: which they are, what a tokenizer adds by itself, what a model stops at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.chat.stops import read_stops

if TYPE_CHECKING:
    from storm_models.checkpoint.checkpoint import Checkpoint

_PHI3, _NOT_STRIPPED = "phi-3", ("<unk>", "<s>", "<|endoftext|>")
"""A name by which llama.cpp knows that tokens take the space after them, but for these."""


def special_keys(model: Checkpoint, tokenizer: Any) -> dict[str, Any]:
    """Return the metadata of special tokens, below `tokenizer.ggml.`.

    What transformers adds beyond the embedding is left out: no model can be shown it. Raises
    InputError for tokens that llama.cpp would not write, and for a fourth end of answers.
    """
    keys: dict[str, Any] = {}
    rows = model.config()["vocab_size"]
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token = getattr(tokenizer, f"{name}_token_id")
        if token is not None and token < rows:
            keys[f"{key}_token_id"] = token
    if "eos_token_id" not in keys:
        raise InputError("the tokenizer has no EOS, and llama.cpp would take another token for it")
    keys |= _added(tokenizer)
    stops = [stop for stop in read_stops(model.directory) if stop != keys["eos_token_id"]]
    if len(stops) > 2:
        raise InputError(
            f"the model stops at {len(stops) + 1} tokens: a GGUF file has room for three "
            "(eos, eot, eom)"
        )
    keys.update(zip(("eot_token_id", "eom_token_id"), stops, strict=False))
    return keys


def _added(tokenizer: Any) -> dict[str, bool]:
    """Return whether BOS and EOS are written around a text; raises InputError for anything else."""
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    full = list(tokenizer("a")["input_ids"])
    for first in (False, True):
        for last in (False, True):
            expected = [*[tokenizer.bos_token_id] * first, *plain, *[tokenizer.eos_token_id] * last]
            if full == expected:
                return {"add_bos_token": first, "add_eos_token": last}
    raise InputError(f"the tokenizer makes {full} of {plain}: a GGUF file adds BOS and EOS alone")


def model_name(content: dict[str, Any]) -> str:
    """Return `general.name`, by which llama.cpp tells tokens that take the space after them.

    Raises InputError for tokens that take spaces otherwise, or match whole words alone.
    """
    taking: dict[str, list[str]] = {"lstrip": [], "rstrip": [], "single_word": []}
    names = [token["content"] for token in content.get("added_tokens") or []]
    for token in content.get("added_tokens") or []:
        for way, found in taking.items():
            if token.get(way):
                found.append(token["content"])
    for way in ("lstrip", "single_word"):
        if taking[way]:
            raise InputError(f"tokenizer.json: {taking[way][0]!r} has {way}, llama.cpp has not")
    if not taking["rstrip"]:
        return "model"
    if sorted(taking["rstrip"]) == sorted(set(names) - set(_NOT_STRIPPED)):
        return _PHI3
    raise InputError(
        f"tokenizer.json: {taking['rstrip'][0]!r} has rstrip, which llama.cpp has for Phi-3 alone"
    )
