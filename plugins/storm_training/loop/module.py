"""A model, its objective and its optimiser, as Lightning wants them."""

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
        devices: Distributed,
    ) -> None:
        """`total` is the number of optimiser steps; `log` is filled on the way."""
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.objective, self.settings, self.total, self.record = objective, settings, total, log
        self.devices, self.trained = devices, _trained(model)
        self.seconds, self.timed_tokens = 0.0, 0

    def configure_model(self) -> None:
        """Divide the weights among the workers, where that is the strategy."""
        if self.devices.sharded:
            layers = self.model.get_decoder().layers
            self.devices.shard_weights(self, layers, self.record.precision)
            self.trained = _trained(self.model)

    def forward(self, batch: PackedBatch | None) -> torch.Tensor:
        """Return the loss summed over what the batch counts; 0 through all weights for None.

        Every pass goes through here, because this is where divided weights come together.
        """
        if batch is not None:
            with noisy_embeddings(self.model, batch, self.settings.neftune):
                return self.objective.loss(self.model, batch)
        token = torch.zeros((1, 1), dtype=torch.int64, device=self.device)
        inputs = {"input_ids": token, "position_ids": token, "use_cache": False}
        hidden = self.model.get_decoder()(**inputs).last_hidden_state
        nothing: torch.Tensor = self.model.get_output_embeddings()(hidden).float().sum() * 0
        return nothing

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser over what trains."""
        parameters = self.trained.values()
        return build_optimizer(parameters, self.settings, self.record.precision)

    def on_fit_start(self) -> None:
        """Bring what the objective holds to where the model will be."""
        self.objective.to(self.trainer.strategy.root_device)

    def on_train_start(self) -> None:
        """Raise InputError when the model, as it computes here, mixes the documents of a row.

        Also when it makes its logits in a way that losses do not know.
        """
        if not self.devices.sharded:  # divided weights are not there outside of `forward`
            with self.trainer.precision_plugin.forward_context():
                require_isolation(self.model)
                require_known_head(self.model)

    def training_step(self, batches: list[PackedBatch | None], _: int) -> None:
        """Take one optimiser step; raises InputError when it does not fit, or is not finite."""
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
        devices, given = self.devices, [batch for batch in batches if batch is not None]
        torch.manual_seed(self.settings.seed * 1_000_003 + step + devices.rank * 2_000_029)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        rate = learning_rate(step, self.total, self.settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        counted = sum(self.objective.count(batch) for batch in given)
        read = sum(batch.tokens for batch in given)
        count, tokens = (int(value) for value in devices.all_reduce_sum(counted, read))
        loss = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, start=1):
            part = self(batch) / max(count, 1)
            with devices.backward(last=number == len(batches)):
                # Exchanged gradients are a mean over the workers, and should be a sum.
                self.manual_backward(part * devices.world)
            loss += part.detach()
        (value,) = devices.all_reduce_sum(float(loss))
        if not math.isfinite(value):
            raise InputError(
                f"the loss of step {step + 1} is {value}: lower learning_rate (now {rate:.3g}), "
                "or look for weights that are not finite"
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
        """Return the means of the objective's own figures, over the passes of all workers."""
        means = {}
        for name, sums in self.objective.figures().items():
            total, count = self.devices.all_reduce_sum(*sums)
            means[name] = total / max(count, 1.0)
        return means

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


def _trained(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
