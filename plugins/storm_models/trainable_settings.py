"""The recorded settings `trainable` of a training: which of them a method reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READS: dict[str, tuple[str, ...]] = {
    "all": (),
    "spectrum": ("fraction", "embedding", "head", "norms", "norm_layers", "control"),
    "last_layers": ("layers", "head", "norms"),
    "named": ("names",),
    "new_layers": (),
    "lora": ("rank", "alpha", "dropout", "modules"),
    "qlora": ("rank", "alpha", "dropout", "modules"),
}
"""The settings that each method reads, besides `method` itself."""


def read_settings(trainable: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the method of a training read, without empty ones.

    Those of a method that is not in READS are all returned.
    """
    names = READS.get(str(trainable.get("method")), tuple(trainable))
    return {
        name: value
        for name, value in trainable.items()
        if (name == "method" or name in names) and value not in (None, [])
    }
