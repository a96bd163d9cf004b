"""The component `block_importance`: scores of a model without each run of layers."""

from __future__ import annotations

import json
from typing import Any

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_minitron.calibration.settings import CalibrationSettings
from storm_minitron.depth.block_importance import BlockImportance, BlockImportanceSpec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest


@component("scanner", "block_importance", version=2)
class BlockImportanceScanner(CalibrationSettings):
    """Scores a model without each run of consecutive layers, and measures block influence.

    The score is how well answers of held-out rows are predicted: share of answers that greedy
    decoding would give, share of correct tokens, loss. The Minitron paper ranks by a downstream
    task, and found perplexity and block influence misleading.
    """

    counts: list[int] = setting([], at_least=1)
    """Lengths of the runs whose removal is scored, at every position. Empty: only block influence,
    for runs of every length, in a single pass."""

    split: str = "validation"
    """The split that the rows are drawn from. Rows longer than `max_length` are left out."""

    samples: int = 256
    """Rows to read, drawn from the split by the seed; all if there are fewer."""

    seed: int = II("seed")
    """Seed of the draw of rows."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        if len(set(self.counts)) < len(self.counts):
            raise SettingError("counts", self.counts, "must be different numbers")
        self.counts = sorted(self.counts)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> BlockImportanceSpec:
        """Check model, rows and counts; raises SettingError or InputError."""
        self.check(model, data, self.split)
        layers = (model.config or {}).get("num_hidden_layers")
        if layers is not None and self.counts and self.counts[-1] >= layers:
            raise SettingError(
                "counts", self.counts, f"leaves nothing of {layers} layers; at most {layers - 1}"
            )
        return BlockImportanceSpec(shapes=model.shapes, layers=layers, counts=self.counts)

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Return the cost of a pass over the rows, and of one for every candidate.

        A candidate's pass computes only the layers after its run: 0, 1, 2, … of them for the runs
        of a length.
        """
        layers = (model.config or {}).get("num_hidden_layers") or 1
        runs = [layers - count + 1 for count in self.counts]
        layers_after = sum(number * (number - 1) / 2 for number in runs)
        return self.pass_cost(model, data, self.split, 1 + layers_after / layers, 1 + sum(runs))

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> BlockImportance:
        """Score the whole model and every candidate, and write `blocks.json`."""
        from storm_inference.calibration.samples import read_samples
        from storm_minitron.calibration.batches import make_batches
        from storm_minitron.depth.block_removal import WHOLE, score_runs

        samples, left_out = read_samples(data, self.split, model, self, self.seed, whole=True)
        layers = model.config()["num_hidden_layers"]
        runs = [(first, n) for n in self.counts for first in range(layers - n + 1)]
        with stage.compute() as device, stage.progress(len(samples), "rows") as progress:
            network = model.load(self.dtype, device)
            batches = make_batches(samples, self, device, model.config())
            scores, distances = score_runs(network, runs, batches, progress.advance)
        influence = [row[: layers - first] for first, row in enumerate(distances.tolist())]
        self.check_finite(value for row in influence for value in row)
        content: dict[str, Any] = {
            "shapes": shapes_digest({name: shape for name, (_, shape) in model.headers().items()}),
            "layers": layers,
            "counts": self.counts,
            "samples": len(samples),
            "left_out": left_out,
            "answer_tokens": sum(sum(sample.answer) for sample in samples),
            "whole": scores[WHOLE],
            "candidates": [
                {"first": first, "count": count, **scores[first, count]} for first, count in runs
            ],
            "influence": influence,
        }
        text = json.dumps(content, indent=1) + "\n"
        (stage.directory / "blocks.json").write_text(text, encoding="utf-8")
        stage.metric("candidates", len(runs), main=True)
        stage.metric("loss", scores[WHOLE]["loss"])
        stage.metric("exact match", scores[WHOLE]["exact_match"])
        return BlockImportance(stage.directory)
