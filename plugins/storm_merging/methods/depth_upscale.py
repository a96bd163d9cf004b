"""The component `depth_upscale`: a deeper model from two overlapping copies of one."""

from __future__ import annotations

from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import depth_spec
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "depth_upscale", version=1)
class DepthUpscale:
    """Depth up-scaling (SOLAR 10.7B, Kim et al. 2023, arXiv 2312.15166).

    A model of n layers without its last `m`, followed by a copy without its first `m`: 2(n - m)
    layers, with n - 2m duplicated. The mismatch at the seam lowers quality until continued
    pretraining restores it.
    """

    m: int = setting(8, at_least=0)
    """Layers left out of each copy."""

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the spec of the deeper model; raises SettingError for an `m` that is too large."""
        return depth_spec(model, self.sources)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Write the layers in their new order, and `surgery.json`, which names the added ones."""
        from storm_models.checkpoint.surgery import rearrange

        return rearrange(stage, model, self.sources(model.config()["num_hidden_layers"]))

    def sources(self, layers: int) -> list[int]:
        """Return, for each layer of the new model, its source among the `layers` layers, from 0."""
        if self.m >= layers:
            raise SettingError(
                "m", self.m, f"leaves nothing of {layers} layers; at most {(layers - 1) // 2}"
            )
        if 2 * self.m >= layers:
            raise SettingError(
                "m", self.m, f"duplicates none of {layers} layers; at most {(layers - 1) // 2}"
            )
        return [*range(layers - self.m), *range(self.m, layers)]
