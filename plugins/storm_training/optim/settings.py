"""The settings of every component that trains, written once."""

from __future__ import annotations

import dataclasses
from enum import Enum
from importlib.util import find_spec
from typing import Self

from omegaconf import II

from storm_exp import SettingError, did_you_mean, setting
from storm_training.optim.rehearsal import few_steps

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "bf16-mixed", "bf16", "32")
ROUNDINGS = ("nearest", "stochastic", "kahan")
OPTIMIZERS = ("adamw", "adamw_8bit")
ATTENTIONS = ("auto", "documents", "sdpa", "flex", "eager")


class Decayed(Enum):
    """Which parameters weight decay acts on."""

    matrices = "matrices"
    all = "all"


LOGGERS = {"csv": "", "tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
"""The package that each logger needs."""

_CHOICES = {
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "rounding": ROUNDINGS,
    "optimizer": OPTIMIZERS,
    "attention": ATTENTIONS,
    "keep": ("last", "best"),
}


@dataclasses.dataclass(kw_only=True)
class TrainingSettings:
    """How long, how fast and in what numbers a model is trained. Components inherit from it."""

    steps: int = 0
    """Optimiser steps; 0 trains for `epochs`."""
    epochs: float = 1.0
    """Passes over the training rows; not used when `steps` is given."""
    sequence_length: int = 1024
    """Tokens in a packed row, and the longest example that is used."""
    batch_size: int = 4
    """Packed rows in one forward pass."""
    gradient_accumulation_steps: int = 1
    """Forward passes in one optimiser step. The loss is normalised over the whole step."""
    learning_rate: float = 1e-5
    """The highest learning rate, reached after warm-up."""
    schedule: str = "cosine"
    """cosine, linear or constant."""
    min_lr_ratio: float = 0.1
    """Where cosine and linear end, as a share of `learning_rate`."""
    warmup_ratio: float = 0.03
    """Share of the steps over which the learning rate rises from zero."""
    schedule_from: float = setting(0.0, neutral=0.0)
    """Where in the schedule training begins, as a share of the whole, when several stages train one
    model in turn: the second of three starts at 0.3333 and ends at 0.6667. `warmup_ratio` is then a
    share of the whole, too."""
    schedule_to: float = setting(1.0, neutral=1.0)
    """Where in the schedule training ends."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    decayed: Decayed = setting(Decayed.matrices, neutral=Decayed.matrices)
    """What decays: matrices, or all, norms and biases too, as TinyLlama did."""
    neftune: float = setting(0.0, neutral=0.0)
    """Noise on the embedded tokens while training (NEFTune, Jain et al. 2023; 5 to 15): uniform in
    ± neftune / √(tokens of the sequence · hidden size). Losses on held-out rows have none."""
    beta1: float = 0.9
    """AdamW: decay of the first moment."""
    beta2: float = 0.95
    """AdamW: decay of the second moment."""
    max_grad_norm: float = 1.0
    """Largest norm of the gradient of all trained parameters together; 0 clips nothing."""
    precision: str = "auto"
    """bf16-mixed (bf16 arithmetic over fp32 weights), bf16 (weights, too: no fp32 copy), 32, or
    auto: bf16-mixed where the device multiplies bf16 in hardware, else 32. (On a CPU without it,
    bf16 was ten times slower than fp32.)"""
    rounding: str = setting("nearest", neutral="nearest")
    """How bf16 weights take up updates smaller than their last digit: nearest (loses most of
    them), stochastic (right on average) or kahan (kept, at 2 bytes more per weight)."""
    optimizer: str = setting("adamw", neutral="adamw")
    """adamw, or adamw_8bit: moments in 8 bits (bitsandbytes; slow on a CPU)."""
    attention: str = setting("auto", neutral="auto")
    """documents (each document of a packed row by itself, on a GPU by FlashAttention), sdpa, flex
    (GPUs only), eager, or auto: documents where the model's attention allows it, else another."""
    compile: bool = setting(False, neutral=False)
    """Compile the decoder's layers (torch.compile): faster, after a minute. Fused kernels round
    differently, so this enters the key."""
    validation_rows: int = 500
    """Rows of the validation split that are scored; 0 scores none."""
    validation_every: int = 0
    """Optimiser steps between validations; 0 validates before the first and after the last."""
    keep: str = setting("last", neutral="last")
    """last, or best: the weights of the validation with the lowest loss."""
    patience: int = setting(0, neutral=0)
    """Stop after so many validations in a row without a lower loss than before; 0 never stops."""
    activation_checkpointing: bool = setting(False, semantic=False)
    """Recompute activations in the backward pass (non-reentrant): less memory, more time."""
    checkpoint_every: int = setting(200, semantic=False)
    """Optimiser steps between checkpoints from which a killed stage resumes; 0: only by time."""
    checkpoint_seconds: float = setting(60.0, semantic=False)
    """Seconds between such checkpoints, more where writing one takes a tenth of that; 0: by steps
    only. Ctrl-C and SIGTERM leave one as well, after the step that is being taken."""
    checkpoints_kept: int = setting(1, semantic=False)
    """How many of these checkpoints are kept; an older one serves when the newest is damaged."""
    check_saving: bool = setting(True, semantic=False)
    """Write the model after the first step, read it back, and remove it."""
    loggers: list[str] = setting(["csv", "tensorboard"], semantic=False)
    """Of csv, tensorboard, mlflow and wandb: who is told of every step while it runs."""
    tracking_project: str = setting("storm-exp", semantic=False)
    """The project of wandb, and the experiment of mlflow, that hold the run."""
    tracking_name: str = setting("", semantic=False)
    """What wandb and mlflow call the run; empty: the folder of the run and the stage's name."""
    seed: int = II("seed")
    """Seed of the order of rows and of dropout."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        for name in ("sequence_length", "batch_size", "gradient_accumulation_steps"):
            self._require(name, getattr(self, name) >= 1, "must be at least 1")
        counts = ("steps", "validation_rows", "validation_every", "checkpoint_every")
        for name in (*counts, "checkpoint_seconds"):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("weight_decay", "max_grad_norm", "neftune"):
            self._require(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("min_lr_ratio", "warmup_ratio"):
            self._require(name, 0 <= getattr(self, name) <= 1, "must lie between 0 and 1")
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "must lie in [0, 1)")
        start, end = self.schedule_from, self.schedule_to
        self._require("schedule_from", 0 <= start < 1, "must lie in [0, 1)")
        self._require("schedule_to", start < end <= 1, "must lie above schedule_from, up to 1")
        self._require("patience", self.patience >= 0, "must not be negative")
        self._require("checkpoints_kept", self.checkpoints_kept >= 1, "must be at least 1")
        for name, idle in (("keep", "last"), ("patience", 0)):
            scored = getattr(self, name) == idle or self.validation_every > 0
            self._require(name, scored, "needs validation_every: how often rows are scored")
        for logger in self.loggers:
            self._require_logger(logger)
        self._require("tracking_project", bool(self.tracking_project), "must not be empty")
        self._require("learning_rate", self.learning_rate > 0, "must be above 0")
        self._require("sequence_length", self.sequence_length >= 2, "must be at least 2")
        self._require("epochs", self.steps > 0 or self.epochs > 0, "must be above 0")
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            self._require(name, value in known, f"unknown{did_you_mean(str(value), known)}")
        pure = self.precision == "bf16" and self.optimizer == "adamw"
        problem = "is a matter of precision=bf16 with optimizer=adamw"
        self._require("rounding", self.rounding == "nearest" or pure, problem)
        missing = self.optimizer == "adamw_8bit" and not find_spec("bitsandbytes")
        problem = "needs the package bitsandbytes: pip install 'storm-exp[gpu]'"
        self._require("optimizer", not missing, problem)

    def rehearsal(self) -> Self:
        """Return the same for a few steps on short rows."""
        return few_steps(self)

    def not_rehearsed(self) -> list[str]:
        """Return what a few steps on one device do not show."""
        lines = [f"loggers={name}" for name in self.loggers if name not in ("csv", "tensorboard")]
        return lines + ["compile=true"] * self.compile

    def _require_logger(self, name: str) -> None:
        if name not in LOGGERS:
            raise SettingError("loggers", name, f"unknown{did_you_mean(name, LOGGERS)}")
        if LOGGERS[name] and not find_spec(LOGGERS[name]):
            problem = f"needs the package {LOGGERS[name]}: pip install {LOGGERS[name]}"
            raise SettingError("loggers", name, problem)

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise SettingError(name, getattr(self, name), problem)
