"""What targets hold, in plain English."""

from __future__ import annotations

import re

from storm_inference.targets.target import Target


def what_it_holds(target: Target) -> str:
    """Return what a target holds: "a model", "GGUF files", or its artifact's type."""
    if target.gguf_files():
        return "GGUF files"
    if target.has_checkpoint():
        return "a model"
    if target.manifest is None:
        return "other files"
    return type_in_words(target.manifest.artifact)


def type_in_words(artifact: str) -> str:
    """Return the name of an artifact's type: "a layer table" of LayerTable."""
    words = re.sub("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", artifact).lower()
    if words.endswith("s"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
