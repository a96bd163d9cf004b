"""A model in training, as it is written: weights, training.json, examples of rows."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from storm_models.chat.stops import add_stops, read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_training.data.packed_rows import write_examples
from storm_training.data.packing import StepPlan
from storm_training.data.training_rows import TrainingRows
from storm_training.loop.finetuned_checkpoint import write_changed, write_checkpoint
from storm_training.loop.training_log import TrainingLog
from storm_training.objectives.objective import Objective

RECORD = "training.json"
_NO_ROWS: dict[str, Any] = {"used": 0, "dropped": {}}


@dataclasses.dataclass(kw_only=True)
class TrainedModel:
    """What is written of a training, at its end or before."""

    source: Checkpoint
    """The model before training."""
    network: PreTrainedModel
    trained: set[str]
    """Names of the parameters that train."""
    method: str
    low_rank: bool
    objective: Objective
    ratios: dict[str, float]
    """{matrix: its signal-to-noise ratio}, where a scan chose what trains."""
    stops: dict[int, str]
    """Tokens that the data teaches to end with."""
    rows: TrainingRows
    held_out: TrainingRows | None
    plan: StepPlan
    longest: int
    """The longest sequence that is used, in tokens."""
    cut: bool
    """Whether longer ones were cut."""
    capacity: int
    """Tokens of a packed row."""

    def table(self) -> list[dict[str, Any]]:
        """Return a row per parameter: name, shape, whether it trains."""
        return [
            {
                "name": name,
                "shape": list(parameter.shape),
                "parameters": math.prod(parameter.shape),
                "trained": name in self.trained,
                "snr": self.ratios.get(name),
            }
            for name, parameter in self.network.named_parameters()
        ]

    def write_weights(self, directory: Path) -> Checkpoint:
        """Write the checkpoint, and return it; each weight keeps its dtype in the source."""
        if self.low_rank:
            from storm_training.trainable.low_rank import save_updates, weight_changes

            save_updates(self.network, directory / "adapter")
            result = write_changed(self.source, weight_changes(self.network), directory)
        else:
            result = write_checkpoint(self.source, self.network, self.trained, directory)
        add_stops(directory, self.stops)
        return result

    def write(self, directory: Path, log: TrainingLog) -> Checkpoint:
        """Write the checkpoint, training.json and the first packed rows; return the checkpoint."""
        result = self.write_weights(directory)
        record = {
            "objective": self.objective.name,
            "method": self.method,
            "counts": self.objective.counts,
            "precision": log.precision,
            "attention": log.attention,
            "dtypes": sorted({dtype for dtype, _ in self.source.headers().values()}),
            "tokens_per_step": round(sum(entry["tokens"] for entry in log.steps) / len(log.steps)),
            "rows": self.rows.record(),
            "validation_rows": self.held_out.record() if self.held_out else _NO_ROWS,
            "stops": {
                "before": read_stops(self.source.directory),
                "learnt": list(self.stops.values()),
                "after": read_stops(directory),
            },
            "trainable": self.table(),
            "kept": log.kept,
            "validation": log.validation,
            "steps": log.steps,
        }
        (directory / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
        write_examples(
            directory,
            self.source.tokenizer(),
            self.rows.sequences,
            self.plan,
            longest=self.longest,
            cut=self.cut,
            capacity=self.capacity,
        )
        return result
