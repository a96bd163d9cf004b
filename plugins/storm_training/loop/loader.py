"""A data loader of optimiser steps that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator

from storm_training.data.packing import PackedBatch, StepPlan, build_batch, plan_steps
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.distributed import Distributed
from storm_training.optim.settings import TrainingSettings


class StepLoader:
    """Yields, per optimiser step, the batches of this worker's forward passes; None if empty.

    Lightning stores `state_dict` in its checkpoints, so a resumed run goes on with the next step.
    """

    def __init__(self, sequences: TokenSequences, steps: StepPlan, devices: Distributed) -> None:
        """Load `steps` (from `plan_steps`) of `sequences`, in order."""
        self._sequences, self._steps, self._devices = sequences, steps, devices
        self._next = 0

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[PackedBatch | None]]:
        while self._next < len(self._steps):
            passes = self._devices.shard(self._steps[self._next])
            self._next += 1
            yield [build_batch(self._sequences, rows) if rows else None for rows in passes]

    def state_dict(self) -> dict[str, int]:
        """Return the index of the next step."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from the step in `state`."""
        self._next = state["next"]


def plan_run(sequences: TokenSequences, settings: TrainingSettings) -> StepPlan:
    """Return the optimiser steps of a training with these settings (see `plan_steps`)."""
    return plan_steps(
        sequences.lengths(),
        steps=settings.steps,
        epochs=settings.epochs,
        sequence_length=settings.sequence_length,
        batch_size=settings.batch_size,
        passes=settings.gradient_accumulation_steps,
        seed=settings.seed,
    )
