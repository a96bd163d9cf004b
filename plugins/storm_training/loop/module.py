"""The LightningModule: a model, its objective and its optimiser."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from lightning.pytorch import LightningModule
from transformers import PreTrainedModel

from storm_exp import InputError
from storm_training.attention.implementation import require_isolation
from storm_training.data.packing import PackedBatch
from storm_training.loop.distributed import Distributed, clip
from storm_training.loop.neftune import noisy_embeddings
from storm_training.loop.training_log import TrainingLog
from storm_training.losses import require_known_head
from storm_training.objectives.objective import Objective
from storm_training.optim.optimizer import build_optimizer
from storm_training.optim.schedule import learning_rate
from storm_training.optim.settings import TrainingSettings


class TrainingModule(LightningModule):
    """A model in training; one `training_step` is an optimiser step over all its forward passes.

    Optimisation is manual because the loss is divided by the supervised tokens of the whole step:
    a mean of means over batches of different sizes would weight tokens unequally.
    """

    strict_loading = False

    def __init__(
        self,
        model: PreTrainedModel,
        objective: Objective,
        settings: TrainingSettings,
        total: int,
        log: TrainingLog,
        devices: Distributed,
        last: int | None = None,
    ) -> None:
        """`total` is the number of optimiser steps; steps are appended to `log`.

        Training stops after step `last`, by default the last of all.
        """
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.objective, self.settings, self.total, self.record = objective, settings, total, log
        self.last = total if last is None else last
        self.devices, self.trained = devices, _trained(model)
        self.seconds, self.timed_tokens = 0.0, 0

    def configure_model(self) -> None:
        """Shard the weights over the workers, if that is the strategy."""
        if self.devices.sharded:
            layers = self.model.get_decoder().layers
            self.devices.shard_weights(self, layers, self.record.precision)
            self.trained = _trained(self.model)

    def forward(self, batch: PackedBatch | None) -> torch.Tensor:
        """Return the loss summed over the terms of the batch; for None, 0 with a zero gradient.

        Every pass goes through here, because calling the module gathers sharded weights.
        """
        if batch is not None:
            with noisy_embeddings(self.model, batch, self.settings.neftune):
                return self.objective.loss(self.model, batch)
        token = torch.zeros((1, 1), dtype=torch.int64, device=self.device)
        inputs = {"input_ids": token, "position_ids": token, "use_cache": False}
        hidden = self.model.get_decoder()(**inputs).last_hidden_state
        zero: torch.Tensor = self.model.get_output_embeddings()(hidden).float().sum() * 0
        return zero

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser over the trained parameters."""
        parameters = self.trained.values()
        return build_optimizer(parameters, self.settings, self.record.precision)

    def on_fit_start(self) -> None:
        """Move the objective's tensors to the model's device."""
        self.objective.to(self.trainer.strategy.root_device)

    def on_train_start(self) -> None:
        """Raise InputError when the model mixes the documents of a row or has unknown logits."""
        if not self.devices.sharded:  # sharded weights are gathered only in `forward`
            with self.trainer.precision_plugin.forward_context():
                require_isolation(self.model)
                require_known_head(self.model)

    def training_step(self, batches: list[PackedBatch | None], _: int) -> None:
        """Take an optimiser step; raises InputError when memory is too small or loss not finite."""
        try:
            self._step(batches)
        except torch.OutOfMemoryError as error:
            settings = self.settings
            rows, length = settings.batch_size, settings.sequence_length
            raise InputError(
                f"a forward pass of batch_size={rows} rows of sequence_length={length} tokens does "
                "not fit the device's memory: lower batch_size and raise "
                "gradient_accumulation_steps, or set "
                f"activation_checkpointing=true ({str(error).splitlines()[0]})"
            ) from error

    def _step(self, batches: list[PackedBatch | None]) -> None:
        started = time.perf_counter()
        step = len(self.record.steps)
        devices, filled = self.devices, [batch for batch in batches if batch is not None]
        torch.manual_seed(self.settings.seed * 1_000_003 + step + devices.rank * 2_000_029)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        rate = learning_rate(step, self.total, self.settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        own_count = sum(self.objective.count(batch) for batch in filled)
        own_tokens = sum(batch.tokens for batch in filled)
        count, tokens = (int(value) for value in devices.all_reduce_sum(own_count, own_tokens))
        loss = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, start=1):
            part = self(batch) / max(count, 1)
            with devices.backward(last=number == len(batches)):
                # Gradients are averaged over the workers, but should be summed.
                self.manual_backward(part * devices.world)
            loss += part.detach()
        (value,) = devices.all_reduce_sum(float(loss))
        if not math.isfinite(value):
            raise InputError(
                f"the loss of step {step + 1} is {value}: lower learning_rate (now {rate:.3g}), "
                "or check the model for weights that are not finite"
            )
        norm = clip(list(self.trained.values()), self.settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        self.record.steps.append(
            self._figures()
            | {
                "step": step + 1,
                "loss": value,
                "learning_rate": rate,
                "gradient_norm": norm,
                "tokens": tokens,
                "supervised": count,
            }
        )
        self.seconds += time.perf_counter() - started
        self.timed_tokens += tokens

    def _figures(self) -> dict[str, float]:
        """Return the objective's further figures, averaged over the passes of all workers."""
        means = {}
        for name, sums in self.objective.figures().items():
            total, count = self.devices.all_reduce_sum(*sums)
            means[name] = total / max(count, 1.0)
        return means

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Return the trained parameters; the others are in the source checkpoint."""
        return {f"model.{name}": parameter.detach() for name, parameter in self.trained.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the log, so that a resumed run has all steps, and the number of steps."""
        checkpoint["log"] = {"steps": self.record.steps, "validation": self.record.validation}
        checkpoint["total"] = self.total

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the log."""
        self.record.steps[:] = checkpoint["log"]["steps"]
        self.record.validation[:] = checkpoint["log"]["validation"]


def _trained(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
