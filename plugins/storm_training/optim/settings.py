"""The settings of every component that trains, written once."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from importlib.util import find_spec
from typing import Self

from omegaconf import II

from storm_exp import SettingError, check_bounds, setting
from storm_training.optim.rehearsal import few_steps

PRECISIONS = ("auto", "bf16-mixed", "bf16", "32")


class Schedule(StrEnum):
    """How the learning rate falls after warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


class Decayed(StrEnum):
    """Which parameters weight decay acts on."""

    matrices = "matrices"
    all = "all"


class Rounding(StrEnum):
    """How bf16 weights take up an update."""

    nearest = "nearest"
    stochastic = "stochastic"
    kahan = "kahan"


class Optimizer(StrEnum):
    """What takes the steps."""

    adamw = "adamw"
    adamw_8bit = "adamw_8bit"


class Attention(StrEnum):
    """How the documents of a packed row are kept apart."""

    auto = "auto"
    documents = "documents"
    sdpa = "sdpa"
    flex = "flex"
    eager = "eager"


class Keep(StrEnum):
    """Which weights a training leaves."""

    last = "last"
    best = "best"


LOGGERS = {"csv": "", "tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
"""The package that each logger needs."""


@dataclasses.dataclass(kw_only=True)
class TrainingSettings:
    """How long, how fast and in what numbers a model is trained. Components inherit from it."""

    steps: int | None = setting(None, at_least=1)
    """Optimiser steps; null trains for `epochs`."""
    epochs: float = setting(1.0, above=0)
    """Passes over the training rows; not used when `steps` is given."""
    sequence_length: int = setting(1024, at_least=2, unit="tokens")
    """Tokens in a packed row, and the longest example that is used."""
    batch_size: int = setting(4, at_least=1, unit="rows")
    """Packed rows in one forward pass."""
    gradient_accumulation_steps: int = setting(1, at_least=1)
    """Forward passes in one optimiser step. The loss is normalised over the whole step."""
    learning_rate: float = setting(1e-5, above=0)
    """The highest learning rate, reached after warm-up."""
    schedule: Schedule = Schedule.cosine
    """How the learning rate falls after warm-up: cosine, linear or constant (not at all)."""
    min_lr_ratio: float = setting(0.1, at_least=0, at_most=1)
    """Where cosine and linear end, as a share of `learning_rate`."""
    warmup_ratio: float = setting(0.03, at_least=0, at_most=1)
    """Share of the steps over which the learning rate rises from zero."""
    schedule_from: float = setting(0.0, neutral=0.0, at_least=0, below=1)
    """Where in the schedule training begins, as a share of the whole, when several stages train one
    model in turn: the second of three starts at 0.3333 and ends at 0.6667. `warmup_ratio` is then a
    share of the whole, too."""
    schedule_to: float = setting(1.0, neutral=1.0, above=0, at_most=1)
    """Where in the schedule training ends."""
    weight_decay: float = setting(0.0, at_least=0)
    """Decoupled weight decay (AdamW)."""
    decayed: Decayed = setting(Decayed.matrices, neutral=Decayed.matrices)
    """What decays: matrices, or all, norms and biases too, as TinyLlama did."""
    neftune: float = setting(0.0, neutral=0.0, at_least=0)
    """Noise on the embedded tokens while training (NEFTune, Jain et al. 2023; 5 to 15): uniform in
    ± neftune / √(tokens of the sequence · hidden size). Losses on held-out rows have none."""
    beta1: float = setting(0.9, at_least=0, below=1)
    """AdamW: decay of the first moment."""
    beta2: float = setting(0.95, at_least=0, below=1)
    """AdamW: decay of the second moment."""
    max_grad_norm: float | None = setting(1.0, above=0)
    """Largest norm of the gradient of all trained parameters together; null clips nothing."""
    precision: str = setting("auto", one_of=PRECISIONS)
    """bf16-mixed (bf16 arithmetic over fp32 weights), bf16 (weights, too: no fp32 copy), 32, or
    auto: bf16-mixed where the device multiplies bf16 in hardware, else 32. (On a CPU without it,
    bf16 was ten times slower than fp32.)"""
    rounding: Rounding = setting(Rounding.nearest, neutral=Rounding.nearest)
    """How bf16 weights take up updates smaller than their last digit: nearest (loses most of
    them), stochastic (right on average) or kahan (kept, at 2 bytes more per weight)."""
    optimizer: Optimizer = setting(Optimizer.adamw, neutral=Optimizer.adamw)
    """adamw, or adamw_8bit: moments in 8 bits (bitsandbytes; slow on a CPU)."""
    attention: Attention = setting(Attention.auto, neutral=Attention.auto)
    """documents (each document of a packed row by itself, on a GPU by FlashAttention), sdpa, flex
    (GPUs only), eager, or auto: documents where the model's attention allows it, else another."""
    compile: bool = setting(False, neutral=False)
    """Compile the decoder's layers (torch.compile): faster, after a minute. Fused kernels round
    differently, so this enters the key."""
    validation_rows: int = setting(500, at_least=0, unit="rows")
    """Rows of the validation split that are scored; 0 scores none."""
    validation_every: int | None = setting(None, at_least=1, unit="steps")
    """Optimiser steps between validations; null: before the first and after the last alone."""
    keep: Keep = setting(Keep.last, neutral=Keep.last)
    """last, or best: the weights of the validation with the lowest loss."""
    patience: int | None = setting(None, neutral=None, at_least=1, unit="validations")
    """Stop after so many validations in a row without a lower loss than before; null: never."""
    activation_checkpointing: bool = setting(False, semantic=False)
    """Recompute activations in the backward pass (non-reentrant): less memory, more time."""
    checkpoint_every: int | None = setting(200, semantic=False, at_least=1, unit="steps")
    """Optimiser steps between checkpoints from which a killed stage resumes; null: only by time."""
    checkpoint_seconds: float | None = setting(60.0, semantic=False, above=0, unit="seconds")
    """Seconds between such checkpoints, more where writing one takes a tenth of that; null: by
    steps only. Ctrl-C and SIGTERM leave one as well, after the step that is being taken."""
    checkpoints_kept: int = setting(1, semantic=False, at_least=1)
    """How many of these checkpoints are kept; an older one serves when the newest is damaged."""
    check_saving: bool = setting(True, semantic=False)
    """Write the model after the first step, read it back, and remove it."""
    loggers: list[str] = setting(["csv", "tensorboard"], semantic=False, one_of=tuple(LOGGERS))
    """Of csv, tensorboard, mlflow and wandb: who is told of every step while it runs."""
    tracking_project: str = setting("storm-exp", semantic=False)
    """The project of wandb, and the experiment of mlflow, that hold the run."""
    tracking_name: str = setting("", semantic=False)
    """What wandb and mlflow call the run; empty: the folder of the run and the stage's name."""
    seed: int = II("seed")
    """Seed of the order of rows and of dropout."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        check_bounds(self)
        ordered = self.schedule_from < self.schedule_to
        self._require("schedule_to", ordered, "must lie above schedule_from")
        for name, idle in (("keep", Keep.last), ("patience", None)):
            scored = getattr(self, name) == idle or self.validation_every is not None
            self._require(name, scored, "needs validation_every: how often rows are scored")
        self._require("tracking_project", bool(self.tracking_project), "must not be empty")
        for logger in self.loggers:
            if LOGGERS[logger] and not find_spec(LOGGERS[logger]):
                problem = f"needs the package {LOGGERS[logger]}: pip install {LOGGERS[logger]}"
                raise SettingError("loggers", logger, problem)
        pure = self.precision == "bf16" and self.optimizer == Optimizer.adamw
        problem = "is a matter of precision=bf16 with optimizer=adamw"
        self._require("rounding", self.rounding == Rounding.nearest or pure, problem)
        missing = self.optimizer == Optimizer.adamw_8bit and not find_spec("bitsandbytes")
        problem = "needs the package bitsandbytes: pip install 'storm-exp[gpu]'"
        self._require("optimizer", not missing, problem)

    def rehearsal(self) -> Self:
        """Return the same for a few steps on short rows."""
        return few_steps(self)

    def not_rehearsed(self) -> list[str]:
        """Return what a few steps on one device do not show."""
        lines = [f"loggers={name}" for name in self.loggers if name not in ("csv", "tensorboard")]
        return lines + ["compile=true"] * self.compile

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise SettingError(name, getattr(self, name), problem)
