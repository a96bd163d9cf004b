from storm_exp import InputError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "trimmed_mean", version=1)
class TrimmedMean:
    """The mean of three or more checkpoints, weight by weight, without the extremes."""

    trim: float = setting(0.25, at_least=0, at_most=0.5)
    """Share of the values dropped at each end: 0 is the mean, 0.5 the median."""

    def plan_spec(self, models: list[CheckpointSpec]) -> CheckpointSpec:
        if len(models) < 3:
            raise InputError(f"needs three models or more, not {len(models)}")
        if len({model.shapes for model in models if model.shapes}) > 1:
            raise InputError("the models differ in the names or shapes of their tensors")
        return models[0]

    def run(self, stage: StageContext, models: list[Checkpoint]) -> Checkpoint:
        import torch

        from storm_models.folder.tensor_file import DTYPES, TensorWriter

        headers = models[0].headers()
        cut = min(int(self.trim * len(models)), (len(models) - 1) // 2)
        models[0].copy_companions(stage.directory)
        with (
            stage.compute() as device,
            TensorWriter(stage.directory / "model.safetensors", headers) as writer,
            stage.progress(len(headers), "tensors") as progress,
        ):
            for name, (dtype, _) in headers.items():
                values = torch.stack([model.tensor(name).to(device).float() for model in models])
                kept = values.sort(dim=0).values[cut : len(models) - cut]
                writer.write(name, kept.mean(dim=0).to(DTYPES[dtype]).cpu())
                progress.advance()
        return Checkpoint(stage.directory)
