"""The settings that all components that train have in common."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from importlib.util import find_spec
from typing import Self

from omegaconf import II

from storm_exp import SettingError, check_bounds, install_command, setting
from storm_training.optim.rehearsal import few_steps


class Precision(StrEnum):
    """The format of arithmetic and of weights in training."""

    auto = "auto"
    bfloat16_mixed = "bfloat16_mixed"
    bfloat16 = "bfloat16"
    float32 = "float32"


class Schedule(StrEnum):
    """How the learning rate changes after warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


class Decayed(StrEnum):
    """Which parameters weight decay acts on."""

    matrices = "matrices"
    all = "all"


class Rounding(StrEnum):
    """How an updated bf16 weight is rounded."""

    nearest = "nearest"
    stochastic = "stochastic"
    kahan = "kahan"


class Optimizer(StrEnum):
    """The optimiser."""

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
    """Which weights the trained checkpoint has."""

    last = "last"
    best = "best"


LOGGERS = {"csv": "", "tensorboard": "tensorboard"}
"""The package that each logger needs."""
_TRACKERS = ("mlflow", "wandb", "trackio")


@dataclasses.dataclass(kw_only=True)
class TrainingSettings:
    """Length, learning rate, precision and bookkeeping of training; base of the components."""

    steps: int | None = setting(None, at_least=1)
    """Optimiser steps; null: `epochs` decides."""
    epochs: float = setting(1.0, above=0)
    """Passes over the training examples; ignored when `steps` is set."""
    sequence_length: int = setting(1024, at_least=2, unit="tokens")
    """Tokens in a packed row; longer examples are cut or left out."""
    batch_size: int = setting(4, at_least=1, unit="rows")
    """Packed rows in one forward pass."""
    gradient_accumulation_steps: int = setting(1, at_least=1)
    """Forward passes in one optimiser step. The loss is normalised over the whole step."""
    learning_rate: float = setting(1e-5, above=0)
    """The highest learning rate, reached after warm-up."""
    schedule: Schedule = Schedule.cosine
    """How the learning rate falls after warm-up: cosine, linear or constant (not at all)."""
    min_lr_ratio: float = setting(0.1, at_least=0, at_most=1)
    """Learning rate at the end of cosine and linear decay, as a share of `learning_rate`."""
    warmup_ratio: float = setting(0.03, at_least=0, at_most=1)
    """Share of the steps over which the learning rate rises from zero."""
    schedule_from: float = setting(0.0, neutral=0.0, at_least=0, below=1)
    """Where in a longer schedule training begins, as a share of the whole, when several stages
    train a model in turn: the second of three goes from 0.3333 to 0.6667. `warmup_ratio` is then a
    share of the whole schedule."""
    schedule_to: float = setting(1.0, neutral=1.0, above=0, at_most=1)
    """Where in a longer schedule training ends."""
    weight_decay: float = setting(0.0, at_least=0)
    """Decoupled weight decay (AdamW)."""
    decayed: Decayed = setting(Decayed.matrices, neutral=Decayed.matrices)
    """What weight decay acts on: matrices, or all (norms and biases too, as in TinyLlama)."""
    neftune: float = setting(0.0, neutral=0.0, at_least=0)
    """Noise on the embeddings in training (NEFTune, Jain et al. 2023; 5 to 15): uniform in
    ± neftune / √(tokens of the sequence · hidden size). Validation has none."""
    beta1: float = setting(0.9, at_least=0, below=1)
    """AdamW: decay of the first moment."""
    beta2: float = setting(0.95, at_least=0, below=1)
    """AdamW: decay of the second moment."""
    max_grad_norm: float | None = setting(1.0, above=0)
    """Largest norm of all gradients together; larger ones are scaled down; null: no clipping."""
    precision: Precision = Precision.auto
    """bfloat16_mixed (bfloat16 arithmetic, float32 weights), bfloat16 (weights too, without a
    float32 copy), float32, or auto: the first where the device multiplies bfloat16 in hardware,
    else float32. (On a CPU without it, bfloat16 was ten times slower than float32.)"""
    rounding: Rounding = setting(Rounding.nearest, neutral=Rounding.nearest)
    """How updated bf16 weights are rounded: nearest (loses most updates that are smaller than the
    last bit), stochastic (right on average) or kahan (keeps the error, 2 bytes more per weight)."""
    optimizer: Optimizer = setting(Optimizer.adamw, neutral=Optimizer.adamw)
    """adamw, or adamw_8bit: moments in 8 bits (bitsandbytes; slow on a CPU)."""
    attention: Attention = setting(Attention.auto, neutral=Attention.auto)
    """documents (each document of a packed row by itself, on a GPU by FlashAttention), sdpa, flex
    (GPUs only), eager, or auto: documents where the model's attention allows it, else another."""
    compile: bool = setting(False, neutral=False)
    """Compile the decoder's layers (torch.compile): faster steps after about a minute. Fused
    kernels round differently, so this enters the key."""
    validation_rows: int = setting(500, at_least=0, unit="rows")
    """Rows of the validation split that are scored; 0: none."""
    validation_every: int | None = setting(None, at_least=1, unit="steps")
    """Optimiser steps between validations; null: only before the first and after the last."""
    keep: Keep = setting(Keep.last, neutral=Keep.last)
    """Weights to keep: last, or best (of the validation with the lowest loss)."""
    patience: int | None = setting(None, neutral=None, at_least=1, unit="validations")
    """Stop after so many validations in a row without a new lowest loss; null: never."""
    activation_checkpointing: bool = setting(False, semantic=False)
    """Recompute activations in the backward pass (non-reentrant): less memory, more time."""
    checkpoint_every: int | None = setting(200, semantic=False, at_least=1, unit="steps")
    """Optimiser steps between checkpoints from which a killed stage resumes; null: only by time."""
    checkpoint_seconds: float | None = setting(60.0, semantic=False, above=0, unit="seconds")
    """Seconds between such checkpoints, at least ten times as long as writing one takes; null: only
    by steps. Ctrl-C and SIGTERM also save one, after the current step."""
    checkpoints_kept: int = setting(1, semantic=False, at_least=1)
    """How many of these checkpoints are kept; an older one is used when the newest is damaged."""
    check_saving: bool = setting(True, semantic=False)
    """Write the model after the first step, read it back, and delete it."""
    loggers: list[str] = setting(["csv", "tensorboard"], semantic=False, one_of=tuple(LOGGERS))
    """Files in the run's folder that have every step: csv, tensorboard. A tracker of the whole run
    (`tracker=wandb`) reads the first."""
    seed: int = II("seed")
    """Seed of the order of rows, of dropout and of other noise."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        for tracker in _TRACKERS:
            if tracker in self.loggers:
                problem = f"is a tracker, which shows the whole run: tracker={tracker}"
                raise SettingError("loggers", tracker, problem)
        check_bounds(self)
        ordered = self.schedule_from < self.schedule_to
        problem = f"must be above schedule_from ({self.schedule_from})"
        self._require("schedule_to", ordered, problem)
        for name, unused in (("keep", Keep.last), ("patience", None)):
            scored = getattr(self, name) == unused or self.validation_every is not None
            self._require(name, scored, "needs validation_every, the steps between validations")
        for logger in self.loggers:
            if LOGGERS[logger] and not find_spec(LOGGERS[logger]):
                problem = f"needs the package {LOGGERS[logger]}: pip install {LOGGERS[logger]}"
                raise SettingError("loggers", logger, problem)
        rounds = self.precision == "bfloat16" and self.optimizer == Optimizer.adamw
        problem = "is used only with precision=bfloat16 and optimizer=adamw"
        self._require("rounding", self.rounding == Rounding.nearest or rounds, problem)
        missing = self.optimizer == Optimizer.adamw_8bit and not find_spec("bitsandbytes")
        problem = f"needs the package bitsandbytes: {install_command('gpu')}"
        self._require("optimizer", not missing, problem)

    def ends_after(self) -> tuple[int | None, float]:
        """Return the steps after which training ends, and the epochs, which count without steps."""
        return self.steps, self.epochs

    def rehearsal(self) -> Self:
        """Return the settings of a few steps on short rows."""
        return few_steps(self)

    def not_rehearsed(self) -> list[str]:
        """Return the settings that a rehearsal does not exercise."""
        return ["compile=true"] * self.compile

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise SettingError(name, getattr(self, name), problem)
