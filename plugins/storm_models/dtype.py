"""Number formats, by torch's names: choices of settings."""

from __future__ import annotations

from enum import StrEnum


class Dtype(StrEnum):
    """The format of stored weights, or of a model's arithmetic."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class LoadedDtype(StrEnum):
    """The format that a checkpoint is loaded in: its own (`auto`), or another."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
