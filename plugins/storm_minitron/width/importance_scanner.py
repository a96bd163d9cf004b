"""The component `importance`: the importance of channels, neurons and heads, in one pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, StageContext, component
from storm_minitron.calibration.settings import CalibrationSettings
from storm_minitron.width.importance import Importance, ImportanceSpec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import head_dim

if TYPE_CHECKING:
    import torch

_POINTS = 50
"""Points of a curve in the report."""


@component("scanner", "importance", version=2)
class ImportanceScanner(CalibrationSettings):
    """Importance of hidden channels, MLP neurons and attention heads from activations (Minitron).

    One forward pass over calibration rows, which are chats in the model's template or documents;
    rows longer than `max_length` are cut. See `activations` for the formula. One scan serves every
    pruned size.
    """

    split: str = "train"
    """The split that the rows are drawn from."""

    seed: int = II("seed")
    """Seed of the draw of rows."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> ImportanceSpec:
        """Return the spec; raises SettingError or InputError for unsuitable model or rows."""
        self.check(model, data, self.split)
        return ImportanceSpec(shapes=model.shapes, samples=self.samples)

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Return the cost of one forward pass over the rows, without the head."""
        return self.pass_cost(model, data, self.split)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Importance:
        """Measure, and write the importances and their concentration curves."""
        from storm_inference.calibration.samples import read_samples
        from storm_minitron.calibration.batches import make_batches
        from storm_minitron.width.activations import measure
        from storm_models.folder.tensor_file import TensorWriter

        samples, left_out = read_samples(data, self.split, model, self, self.seed)
        with stage.compute() as device, stage.progress(len(samples), "rows") as progress:
            network = model.load(self.dtype, device)
            batches = make_batches(samples, self, device, model.config())
            values = measure(network, head_dim(model.config()), batches, progress.advance)
        self.check_finite(value for axis in values.values() for value in axis.flatten().tolist())
        layout = {name: ("F64", tuple(tensor.shape)) for name, tensor in values.items()}
        with TensorWriter(stage.directory / "importance.safetensors", layout) as writer:
            for name, tensor in values.items():
                writer.write(name, tensor)
        tokens = sum(len(sample.input_ids) for sample in samples)
        content = {
            "shapes": shapes_digest({name: shape for name, (_, shape) in model.headers().items()}),
            "samples": len(samples),
            "left_out": left_out,
            "tokens": tokens,
            "curves": {name: concentration(tensor) for name, tensor in values.items()},
        }
        text = json.dumps(content, indent=1) + "\n"
        (stage.directory / "importance.json").write_text(text, encoding="utf-8")
        stage.metric("rows", len(samples), main=True)
        stage.metric("tokens", tokens)
        return Importance(stage.directory)


def concentration(values: torch.Tensor) -> list[list[Any]]:
    """Return points [share of the parts, share of the importance of the most important of them].

    `values` is (N,) or (layers, N), with equal weight for every layer.
    """
    import torch

    sorted_LN = torch.atleast_2d(values).sort(dim=-1, descending=True).values
    share_LN = sorted_LN.cumsum(dim=-1) / sorted_LN.sum(dim=-1, keepdim=True).clamp(min=1e-300)
    share_N = torch.cat([torch.zeros(1, dtype=share_LN.dtype), share_LN.mean(dim=0)])
    size = len(share_N) - 1
    counts = sorted({round(size * point / _POINTS) for point in range(_POINTS + 1)})
    return [[count / size, float(share_N[count])] for count in counts]
