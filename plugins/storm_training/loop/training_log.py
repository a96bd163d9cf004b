"""The record of a training run, as written to training.json."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class TrainingLog:
    """Losses by step. Holds nothing that differs between equal runs, such as times."""

    precision: str
    """bfloat16_mixed, bfloat16 or float32."""
    attention: str = ""
    """The attention implementation, by its name in transformers."""
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """One entry per optimiser step, counted from 1: step, loss (mean over supervised tokens),
    learning_rate, gradient_norm, tokens (all that were read), supervised (terms of the loss)."""
    kept: int | None = None
    """The step whose weights were kept; None: the last."""
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Entries {step, loss}, the loss being a mean over the supervised tokens of validation."""
