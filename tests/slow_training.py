"""A training in a process of its own, slow enough to be disturbed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from storm_exp._run.signals import Signals
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_training.loop.module import TrainingModule
from storm_training.loop.trainer import train
from storm_training.testing import ragged_sequences, small_settings


def train_slowly(folder: Path, settings: dict[str, Any], pause: float) -> None:
    """Train the model in `folder` for 40 steps, pausing after each from the second on.

    `folder/steps` says how many are taken. Ends the process as an interrupted run does.
    """
    step = TrainingModule.training_step

    def slow(self: TrainingModule, *batch: Any) -> None:
        step(self, *batch)
        taken = len(self.record.steps)
        (folder / "steps").write_text(str(taken))
        time.sleep(pause if taken > 1 else 0)

    TrainingModule.training_step = slow  # type: ignore[method-assign]
    with Signals() as signals:
        try:
            model = Checkpoint(folder / "model").load("float32")
            chosen = small_settings(steps=40, **settings)
            train(model, ragged_sequences(), chosen, make_stage(folder))
        except KeyboardInterrupt:
            assert signals.came is not None
            sys.exit(128 + signals.came)
