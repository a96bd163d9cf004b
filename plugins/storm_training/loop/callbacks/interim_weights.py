"""Keeping the model of earlier steps, and stopping at one."""

from __future__ import annotations

import dataclasses
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from storm_training.loop.callbacks.validation import Validator
from storm_training.loop.interim_models import InterimModels
from storm_training.loop.module import TrainingModule


class InterimWeights(Callback):
    """Keeps the model after some of the steps, with its validation, and stops after the last.

    Scoring and keeping change nothing: a training ends in the same bits with and without them. Must
    come after the validator, and before checkpoints to resume from are saved, so that a resumed
    run lacks no model.
    """

    def __init__(
        self, module: TrainingModule, validator: Validator, interim: InterimModels
    ) -> None:
        """Keep the models of `module` that `interim` wants."""
        self._module, self._validator, self._interim = module, validator, interim

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Keep the model if its step is wanted; stop after the last step."""
        record, devices = self._module.record, self._module.devices
        done = len(record.steps)
        interim = self._interim
        wanted = done in interim.steps
        if wanted and devices.broadcast(lambda: interim.find(done) is None):
            scores = list(record.validation)
            if not scores or scores[-1]["step"] != done:
                scores += self._validator.scored(trainer)
            log = dataclasses.replace(record, steps=list(record.steps), validation=scores)
            with devices.whole(self._module):
                if trainer.is_global_zero:
                    interim.keep(done, log)
        if done == self._module.last:
            trainer.should_stop = True
