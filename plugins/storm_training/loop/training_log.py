"""The course of a training run, as it is recorded."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class TrainingLog:
    """Losses step by step. Holds nothing that depends on the run, such as times."""

    precision: str
    """bf16-mixed, bf16 or 32: what was computed in."""
    attention: str = ""
    """The attention kernel."""
    steps: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """One entry per optimiser step, counted from 1: step, loss (mean over supervised tokens),
    learning_rate, gradient_norm, tokens (all that were read), supervised (those predicted)."""
    kept: int | None = None
    """The step whose weights were kept; None for the last."""
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Entries {step, loss}: mean over the supervised tokens of the validation rows."""
