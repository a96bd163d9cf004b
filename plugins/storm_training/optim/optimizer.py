"""The optimiser, built from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from storm_exp import SettingError
from storm_training.optim.bf16_adamw import BFloat16AdamW
from storm_training.optim.settings import Decayed, TrainingSettings


def check_optimizer(settings: TrainingSettings, *, sharded: bool) -> None:
    """Raise SettingError for an optimiser that cannot shard its state over devices."""
    if settings.optimizer == "adamw_8bit" and sharded:
        problem = "needs whole weights on every device: set runtime.strategy=ddp"
        raise SettingError("optimizer", settings.optimizer, problem)


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: TrainingSettings, precision: str
) -> torch.optim.Optimizer:
    """Return AdamW over `parameters`, with weight decay as `settings.decayed` says.

    `precision` is what `choose_precision` returned: with bf16 it is `BFloat16AdamW`.
    """
    trained = list(parameters)
    decay = settings.weight_decay
    matrices = {"params": [p for p in trained if p.ndim >= 2], "weight_decay": decay}
    vector_decay = decay if settings.decayed is Decayed.all else 0.0
    vectors = {"params": [p for p in trained if p.ndim < 2], "weight_decay": vector_decay}
    groups = [group for group in (matrices, vectors) if group["params"]]
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.beta1, settings.beta2),
    }
    if settings.optimizer == "adamw_8bit":
        from bitsandbytes.optim import AdamW8bit

        optimizer: torch.optim.Optimizer = AdamW8bit(groups, **options)
        return optimizer
    if precision == "bfloat16":
        rounding, seed = settings.rounding, settings.seed
        return BFloat16AdamW(groups, rounding=rounding, seed=seed, **options)
    return torch.optim.AdamW(groups, fused=True, **options)
