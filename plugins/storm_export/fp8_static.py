"""The component `fp8_static`: 8-bit floating-point weights and activations, scales calibrated."""

from __future__ import annotations

import dataclasses

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, StageContext, component, setting
from storm_export.fp8 import PACKAGES, Fp8
from storm_inference.calibration.settings import SampleSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.flops import Reading
from storm_models.families.memory import PROCESS


@component("compressor", "fp8_static", version=1, requires=PACKAGES, extra="fp8")
class Fp8Static(Fp8, SampleSettings):
    """FP8 quantisation by llm-compressor, with one fixed scale for each weight and each input.

    A scale is the largest magnitude over 448, FP8's largest number: of the weights, and of what
    the layer reads when the model as it is reads the calibration rows. These are chats in the
    model's template or documents, one at a time and without padding. Linear layers are quantised,
    embeddings and norms are not. Loads in transformers (decompressed) and vLLM (as FP8).
    """

    max_length: int = setting(2048, at_least=2, unit="tokens")
    """Most tokens of a row, and no more than the model has positions."""

    split: str = "train"
    """The split that the rows are drawn from."""

    seed: int = II("seed")
    """Seed of the draw of rows."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        Fp8.__post_init__(self)
        SampleSettings.__post_init__(self)

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> CheckpointSpec:
        """Return the quantised model's spec; raises InputError or SettingError for bad inputs."""
        spec = self.quantised_spec(model)
        self.check_rows(model, data, self.split)
        return spec

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Return the cost of one forward pass over the rows, and of packing the result."""
        sizes, rows = self.sizes(model), self.fitting(model.config)
        row = Reading(rows.max_length, rows.max_length, rows.max_length)
        reading = rows.reading(data, self.split, heads=1.0)
        cost = inference_cost(model, reading, row)
        if sizes is None or cost is None:
            return None
        before, after = sizes
        memory = max(cost.memory or 0.0, PROCESS + 1.5 * before)
        return Cost(tokens=cost.tokens, flops=cost.flops, memory=memory, disk=after)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> Checkpoint:
        """Read the rows, quantise and save; raises InputError without rows or layers to use."""
        from storm_export.compression import check_scales, compress
        from storm_inference.calibration.samples import Account, read_samples

        fitting = self.fitting(model.config())
        samples, left_out = read_samples(data, self.split, model, fitting, self.seed)
        rows = [sample.input_ids for sample in samples]
        steps = 3 + len(rows)
        with stage.compute() as device, stage.progress(steps, "steps", "llm-compressor") as bar:
            compress(
                model,
                stage.directory,
                scheme="FP8",
                ignore=list(self.ignore),
                advance=bar.advance,
                rows=rows,
                device=device,
            )
        account = Account.of(samples, left_out, self.samples)
        stage.say(account.line())
        result = self.finish(stage, model, **dataclasses.asdict(account))
        check_scales(result)
        stage.metric("rows", len(rows))
        return result
