"""The component `bf16`: every weight in bfloat16."""

from __future__ import annotations

import json

from storm_exp import Cost, InputError, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import is_quantised


@component("compressor", "bf16", version=1)
class Bf16:
    """Casts a checkpoint, tensor by tensor, to bfloat16, the format in which Storm is published."""

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the model's spec with the new dtype; raises InputError for a quantised model."""
        if model.config is None:
            return model
        if is_quantised(model.config):
            raise InputError("the model is quantised already: cast the unquantised model instead")
        config = {name: value for name, value in model.config.items() if name != "torch_dtype"}
        return CheckpointSpec(**{**model.to_json(), "config": {**config, "dtype": "bfloat16"}})

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Cast the floating-point tensors one by one; integer tensors are copied."""
        import torch

        from storm_export.summary import summarise
        from storm_models.folder.tensor_file import TensorWriter

        config = self.plan_spec(model.spec()).config
        headers = model.headers()
        floating = {name for name, (dtype, _) in headers.items() if dtype.startswith(("F", "BF"))}
        layout = {
            name: ("BF16" if name in floating else dtype, shape)
            for name, (dtype, shape) in headers.items()
        }
        file = stage.directory / "model.safetensors"
        with TensorWriter(file, layout) as writer, stage.progress(len(layout), "tensors") as bar:
            for name, tensor in model.tensors():
                writer.write(name, tensor.to(torch.bfloat16) if name in floating else tensor)
                bar.advance()
        model.copy_companions(stage.directory)
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        (stage.directory / "config.json").write_text(text, encoding="utf-8")
        result = Checkpoint(stage.directory)
        changed = sum(headers[name][0] != "BF16" for name in floating)
        summarise(stage, model, result, changed)
        return result
