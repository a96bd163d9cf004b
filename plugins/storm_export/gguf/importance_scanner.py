"""The component `importance_matrix`: what llama.cpp's quantisation weighs its errors by."""

from __future__ import annotations

import dataclasses
import json

from omegaconf import II

from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import Cost, InputError, StageContext, component, setting
from storm_export.gguf.architecture import architecture
from storm_export.gguf.importance_matrix import (
    SUMMARY,
    ImportanceMatrix,
    ImportanceMatrixSpec,
    write_matrix,
)
from storm_export.gguf.tensors import gguf_tensors
from storm_inference.calibration.settings import SampleSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import inference_cost
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.dtype import LoadedDtype
from storm_models.families.flops import Reading

_OF_LAYERS = "blk."


@component("scanner", "importance_matrix", version=1, requires=("torch", "gguf"), extra="gguf")
class ImportanceMatrixScanner(SampleSettings):
    """Mean square of each input channel of the layers' matrices, as llama.cpp's imatrix.

    For `exporter=gguf`, whose K types and q4_0 then round so that errors are small where inputs
    are large. The model reads chats in its own template or documents, one at a time and without
    padding, in one forward pass. The head and the embedding have no entry, as in llama.cpp.
    """

    max_length: int = setting(2048, at_least=2, unit="tokens")
    """Most tokens of a row, and no more than the model has positions."""

    dtype: LoadedDtype = LoadedDtype.auto
    """Precision of the forward passes; auto: as stored. Sums have 64 bits."""

    split: str = "train"
    """The split that the rows are drawn from."""

    seed: int = II("seed")
    """Seed of the draw of rows."""

    def plan_spec(self, model: CheckpointSpec, data: DatasetSpec) -> ImportanceMatrixSpec:
        """Return the spec; raises InputError or SettingError for unsuitable model or rows."""
        if model.config is not None:
            architecture(model.config)
        self.check_rows(model, data, self.split)
        return ImportanceMatrixSpec(shapes=model.shapes, samples=self.samples)

    def cost(self, model: CheckpointSpec, data: DatasetSpec) -> Cost | None:
        """Return the cost of one forward pass over the rows, without the head."""
        rows = self.fitting(model.config)
        row = Reading(rows.max_length, rows.max_length, 0)
        return inference_cost(model, rows.reading(data, self.split), row, dtype=self.dtype)

    def run(self, stage: StageContext, model: Checkpoint, data: Dataset) -> ImportanceMatrix:
        """Read the rows, and write the matrix; raises InputError for values that are no numbers."""
        from storm_export.gguf.input_squares import sum_squares
        from storm_inference.calibration.samples import Account, read_samples

        config, headers = model.config(), model.headers()
        layers = {
            tensor.name: tensor.source.removesuffix(".weight")
            for tensor in gguf_tensors(config, headers)
            if tensor.name.startswith(_OF_LAYERS) and len(tensor.shape) == 2
        }
        fitting = self.fitting(config)
        samples, left_out = read_samples(data, self.split, model, fitting, self.seed)
        rows = [sample.input_ids for sample in samples]
        with stage.compute() as device, stage.progress(len(rows), "rows") as bar:
            network = model.load(self.dtype, device)
            sums = sum_squares(network, layers, rows, bar.advance)
        for name, total in sums.items():
            if not bool(total.isfinite().all()):
                raise InputError(
                    f"the inputs of {layers[name]} hold NaN or infinity: either dtype={self.dtype} "
                    "overflows, or the model's weights hold them"
                )
        account = Account.of(samples, left_out, self.samples)
        stage.say(account.line())
        content = {
            "shapes": shapes_digest({name: shape for name, (_, shape) in headers.items()}),
            **dataclasses.asdict(account),
        }
        text = json.dumps(content, indent=1) + "\n"
        (stage.directory / SUMMARY).write_text(text, encoding="utf-8")
        made = ImportanceMatrix(stage.directory)
        values = {name: total.numpy() for name, total in sums.items()}
        write_matrix(made.file, values, account.calibration_tokens, len(rows), self.split)
        stage.metric("rows", len(rows), main=True)
        stage.metric("tokens", account.calibration_tokens)
        return made
