"""A model, its objective and its optimiser, as Lightning wants them."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from lightning.pytorch import LightningModule
from transformers import PreTrainedModel

from storm_exp import InputError
from storm_training.objective import Objective
from storm_training.packing import PackedBatch
from storm_training.schedule import learning_rate
from storm_training.settings import TrainingSettings
from storm_training.training_log import TrainingLog


class TrainingModule(LightningModule):
    """One `training_step` is one optimiser step over all its forward passes.

    Optimisation is manual because the loss is normalised by the supervised tokens of the whole
    step: a mean of the means of ragged batches would weigh tokens unequally.
    """

    strict_loading = False

    def __init__(
        self,
        model: PreTrainedModel,
        objective: Objective,
        settings: TrainingSettings,
        total: int,
        log: TrainingLog,
    ) -> None:
        """`total` is the number of optimiser steps; `log` is filled on the way."""
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.objective, self.settings, self.total, self.record = objective, settings, total, log
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.seconds, self.timed_tokens = 0.0, 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW over what trains; weight decay acts on matrices alone."""
        matrices = [p for p in self.trained.values() if p.ndim >= 2]
        vectors = [p for p in self.trained.values() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.settings.learning_rate,
            betas=(self.settings.beta1, self.settings.beta2),
            fused=True,
        )

    def training_step(self, batches: list[PackedBatch], _: int) -> None:
        """Take one optimiser step; raises InputError when the loss is not finite."""
        started = time.perf_counter()
        step = len(self.record.steps)
        torch.manual_seed(self.settings.seed * 1_000_003 + step)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        rate = learning_rate(step, self.total, self.settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        count = sum(self.objective.count(batch) for batch in batches)
        tokens = sum(batch.tokens for batch in batches)
        loss = torch.zeros((), device=self.device)
        for batch in batches:
            part = self.objective.loss(self.model, batch) / max(count, 1)
            self.manual_backward(part)
            loss += part.detach()
        value = float(loss)
        if not math.isfinite(value):
            raise InputError(
                f"the loss of step {step + 1} is {value}: lower learning_rate (now {rate:.3g}), "
                "or look for weights that are not finite"
            )
        clip = self.settings.gradient_clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), clip)
        optimizer.step()
        optimizer.zero_grad()
        self.record.steps.append(
            {
                "step": step + 1,
                "loss": value,
                "learning_rate": rate,
                "gradient_norm": float(norm),
                "tokens": tokens,
                "supervised": count,
            }
        )
        self.seconds += time.perf_counter() - started
        self.timed_tokens += tokens

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Return what trains; the rest is in the checkpoint that training started from."""
        return {f"model.{name}": parameter.detach() for name, parameter in self.trained.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the log, so that a resumed run records the whole course, and the run's length."""
        checkpoint["log"] = {"steps": self.record.steps, "validation": self.record.validation}
        checkpoint["total"] = self.total

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the log over."""
        self.record.steps[:] = checkpoint["log"]["steps"]
        self.record.validation[:] = checkpoint["log"]["validation"]
