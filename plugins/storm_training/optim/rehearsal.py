"""What a training of few steps on short rows shows of a long one."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from storm_models.devices import has_gpu

STEPS = 3
"""Optimiser steps of a rehearsal."""
LENGTH = 512
"""Tokens of a rehearsal's packed rows, at most."""
SHORT = 192
"""The same where weights are bf16 on a CPU, few of which multiply it in hardware."""
BATCH, ACCUMULATION = 2, 2
"""Rows of a forward pass, and passes of a step, at most: both kinds of several stay several."""
_ROWS = 4

S = TypeVar("S")


def few_steps(settings: S) -> S:
    """Return training settings of a few steps, with validations and checkpoints between them.

    Where the device cannot multiply bf16, mixed precision becomes fp32, as `auto` says.
    """
    given: Any = settings
    few: S = dataclasses.replace(
        given,
        steps=min(given.steps or STEPS, STEPS),
        validation_every=given.validation_every and min(given.validation_every, 2),
        validation_rows=min(given.validation_rows, _ROWS),
        checkpoint_every=given.checkpoint_every and min(given.checkpoint_every, 2),
        gradient_accumulation_steps=min(given.gradient_accumulation_steps, ACCUMULATION),
        compile=False,
        loggers=[name for name in given.loggers if name in ("csv", "tensorboard")],
        **short_passes(given),
    )
    return few


def short_passes(settings: Any) -> dict[str, Any]:
    """Return `sequence_length`, `batch_size` and `precision` of a rehearsal."""
    slow = settings.precision == "bf16" and not has_gpu()
    return {
        "sequence_length": min(settings.sequence_length, SHORT if slow else LENGTH),
        "batch_size": min(settings.batch_size, BATCH),
        "precision": "auto" if settings.precision == "bf16-mixed" else settings.precision,
    }
