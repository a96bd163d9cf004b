"""The learning rate over a training run."""

from __future__ import annotations

import math

from storm_training.optim.settings import TrainingSettings


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Return the learning rate of optimiser step `step` (counted from 0) of `total`.

    Linear warm-up, then constant, or linear or cosine decay that reaches
    `min_lr_ratio * learning_rate` at the last step. `schedule_from` and `schedule_to` make the run
    a part of a longer schedule.
    """
    whole = round(total / (settings.schedule_to - settings.schedule_from))
    step, total = step + round(settings.schedule_from * whole), whole
    warmup = math.ceil(settings.warmup_ratio * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(total - 1 - warmup, 1)
    decay = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * (settings.min_lr_ratio + (1 - settings.min_lr_ratio) * decay)
