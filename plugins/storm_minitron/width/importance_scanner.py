"""The component `importance`: what channels, neurons and heads are worth, in one pass."""

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
"""Points of the curves that the report draws."""


@component("scanner", "importance", version=2)
class ImportanceScanner(CalibrationSettings):
    """Importance of hidden channels, MLP neurons and attention heads from activations (Minitron).

    One forward pass over calibration rows, chats in the model's own template or documents; longer
    rows are cut. `activations` states the formula. Every pruned size can be cut from one scan.
    """

    split: str = "train"
    """The split that the rows are drawn from."""

    seed: int = II("seed")
    """Draws the rows."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> ImportanceSpec:
        """Check model and rows; raises SettingError or InputError for what cannot be measured."""
        self.check(model, data, self.split)
        return ImportanceSpec(shapes=model.shapes, samples=self.samples)

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Estimate one pass over the rows, without the head."""
        return self.pass_cost(model, data, self.split)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Importance:
        """Measure, and leave the importances with curves of how they are spread."""

        from storm_minitron.calibration.samples import make_batches, read_samples
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
        tokens = sum(len(sample.ids) for sample in samples)
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
    """Return [share kept, share of the importance that the strongest of it hold], 0 to 1.

    `values` is (N,) or (layers, N); layers count equally.
    """
    import torch

    rows_LN = torch.atleast_2d(values).sort(dim=-1, descending=True).values
    held_LN = rows_LN.cumsum(dim=-1) / rows_LN.sum(dim=-1, keepdim=True).clamp(min=1e-300)
    held_N = torch.cat([torch.zeros(1, dtype=held_LN.dtype), held_LN.mean(dim=0)])
    size = len(held_N) - 1
    places = sorted({round(size * point / _POINTS) for point in range(_POINTS + 1)})
    return [[place / size, float(held_N[place])] for place in places]
