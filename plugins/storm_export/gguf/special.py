"""Special tokens: their ids, which of them the tokenizer adds to text, stop tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.chat.stops import read_stops

if TYPE_CHECKING:
    from storm_models.checkpoint.checkpoint import Checkpoint

_PHI3, _NOT_STRIPPED = "phi-3", ("<unk>", "<s>", "<|endoftext|>")
"""A model name for which llama.cpp strips spaces after special tokens, except after these."""


def special_keys(model: Checkpoint, tokenizer: Any) -> dict[str, Any]:
    """Return the metadata of special tokens, without the prefix `tokenizer.ggml.`.

    Ids beyond the embedding, which transformers may add, are left out. Raises InputError if
    llama.cpp would add other special tokens to a text, and for more than three stop tokens.
    """
    keys: dict[str, Any] = {}
    rows = model.config()["vocab_size"]
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token = getattr(tokenizer, f"{name}_token_id")
        if token is not None and token < rows:
            keys[f"{key}_token_id"] = token
    if "eos_token_id" not in keys:
        raise InputError("the tokenizer has no EOS token: llama.cpp would use another one")
    keys |= _added(tokenizer)
    stops = [stop for stop in read_stops(model.directory) if stop != keys["eos_token_id"]]
    if len(stops) > 2:
        raise InputError(
            f"the model has {len(stops) + 1} stop tokens: a GGUF file stores at most three "
            "(eos, eot, eom)"
        )
    keys.update(zip(("eot_token_id", "eom_token_id"), stops, strict=False))
    return keys


def _added(tokenizer: Any) -> dict[str, bool]:
    """Return whether the tokenizer adds BOS and EOS; raises InputError if it adds other tokens."""
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    full = list(tokenizer("a")["input_ids"])
    for first in (False, True):
        for last in (False, True):
            expected = [*[tokenizer.bos_token_id] * first, *plain, *[tokenizer.eos_token_id] * last]
            if full == expected:
                return {"add_bos_token": first, "add_eos_token": last}
    raise InputError(
        f"the tokenizer turns the ids {plain} into {full}: llama.cpp can only add BOS and EOS"
    )


def model_name(content: dict[str, Any]) -> str:
    """Return `general.name`: llama.cpp infers from it whether special tokens have `rstrip`.

    Raises InputError for tokens with `lstrip` or `single_word`, or with `rstrip` unlike Phi-3's.
    """
    flagged: dict[str, list[str]] = {"lstrip": [], "rstrip": [], "single_word": []}
    names = [token["content"] for token in content.get("added_tokens") or []]
    for token in content.get("added_tokens") or []:
        for flag, tokens in flagged.items():
            if token.get(flag):
                tokens.append(token["content"])
    for flag in ("lstrip", "single_word"):
        if flagged[flag]:
            raise InputError(
                f"tokenizer.json: {flagged[flag][0]!r} has {flag}, which llama.cpp does not support"
            )
    if not flagged["rstrip"]:
        return "model"
    if sorted(flagged["rstrip"]) == sorted(set(names) - set(_NOT_STRIPPED)):
        return _PHI3
    raise InputError(
        f"tokenizer.json: {flagged['rstrip'][0]!r} has rstrip, which llama.cpp supports only for "
        "Phi-3"
    )
