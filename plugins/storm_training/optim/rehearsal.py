"""Training settings of a rehearsal: few steps on short rows."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from storm_models.devices import has_gpu

STEPS = 3
"""Optimiser steps of a rehearsal."""
LENGTH = 512
"""Most tokens of a rehearsal's packed rows."""
SHORT = 192
"""Most tokens with bf16 weights on a CPU, where bf16 arithmetic is usually slow."""
BATCH, ACCUMULATION = 2, 2
"""Most rows of a forward pass, and passes of a step: several stay several."""
_ROWS = 4

S = TypeVar("S")


def few_steps(settings: S) -> S:
    """Return training settings of a few steps, with validations and checkpoints between them.

    Mixed precision becomes `auto`, which is fp32 on devices without bf16 arithmetic.
    """
    long: Any = settings
    short: S = dataclasses.replace(
        long,
        steps=min(long.steps or STEPS, STEPS),
        validation_every=long.validation_every and min(long.validation_every, 2),
        validation_rows=min(long.validation_rows, _ROWS),
        checkpoint_every=long.checkpoint_every and min(long.checkpoint_every, 2),
        gradient_accumulation_steps=min(long.gradient_accumulation_steps, ACCUMULATION),
        compile=False,
        **short_passes(long),
    )
    return short


def short_passes(settings: Any) -> dict[str, Any]:
    """Return `sequence_length`, `batch_size` and `precision` of a rehearsal."""
    slow = settings.precision == "bfloat16" and not has_gpu()
    return {
        "sequence_length": min(settings.sequence_length, SHORT if slow else LENGTH),
        "batch_size": min(settings.batch_size, BATCH),
        "precision": "auto" if settings.precision == "bfloat16_mixed" else settings.precision,
    }
