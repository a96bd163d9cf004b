"""The settings of every component that trains, written once."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_exp import SettingError, did_you_mean, setting

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "bf16-mixed", "32")


@dataclasses.dataclass(kw_only=True)
class TrainingSettings:
    """How long, how fast and in what numbers a model is trained. Components inherit from it."""

    steps: int = 0
    """Optimiser steps; 0 trains for `epochs`."""
    epochs: float = 1.0
    """Passes over the training rows; not used when `steps` is given."""
    sequence_length: int = 1024
    """Tokens in a packed row, and the longest example that is used."""
    batch_rows: int = 4
    """Packed rows in one forward pass."""
    accumulation: int = 1
    """Forward passes in one optimiser step. The loss is normalised over the whole step."""
    learning_rate: float = 1e-5
    """The highest learning rate, reached after warm-up."""
    schedule: str = "cosine"
    """cosine, linear or constant."""
    final_rate: float = 0.1
    """Where cosine and linear end, as a share of `learning_rate`."""
    warmup: float = 0.03
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW), on matrices only."""
    beta1: float = 0.9
    """AdamW: decay of the first moment."""
    beta2: float = 0.95
    """AdamW: decay of the second moment."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient of all trained parameters together; 0 clips nothing."""
    precision: str = "auto"
    """bf16-mixed (bf16 arithmetic over fp32 weights), 32, or auto: bf16-mixed where the device
    multiplies bf16 in hardware. (On a CPU without it, bf16 was ten times slower than fp32.)"""
    validation_rows: int = 500
    """Rows of the validation split that are scored; 0 scores none."""
    validation_every: int = 0
    """Optimiser steps between validations; 0 validates before the first and after the last."""
    activation_checkpointing: bool = setting(False, semantic=False)
    """Recompute activations in the backward pass (non-reentrant): less memory, more time."""
    checkpoint_every: int = setting(200, semantic=False)
    """Optimiser steps between the checkpoints from which a killed stage resumes; 0: none."""
    seed: int = II("seed")
    """Seed of the order of rows and of dropout."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        for name in ("sequence_length", "batch_rows", "accumulation"):
            self._require(name, getattr(self, name) >= 1, "must be at least 1")
        for name in ("steps", "validation_rows", "validation_every", "checkpoint_every"):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("weight_decay", "gradient_clip"):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("final_rate", "warmup"):
            self._require(name, 0 <= getattr(self, name) <= 1, "must lie between 0 and 1")
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "must lie in [0, 1)")
        self._require("learning_rate", self.learning_rate > 0, "must be above 0")
        self._require("sequence_length", self.sequence_length >= 2, "must be at least 2")
        self._require("epochs", self.steps > 0 or self.epochs > 0, "must be above 0")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            value = getattr(self, name)
            self._require(name, value in known, f"unknown{did_you_mean(str(value), known)}")

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise SettingError(name, getattr(self, name), problem)
