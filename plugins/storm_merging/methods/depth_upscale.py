"""The component `depth_upscale`: a deeper model out of two overlapping copies of one."""

from __future__ import annotations

from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import depth_spec
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "depth_upscale", version=1)
class DepthUpscale:
    """Depth up-scaling (SOLAR 10.7B, Kim et al. 2023, arXiv 2312.15166).

    A model of n layers without its last `m`, then a copy of it without its first `m`: 2(n - m)
    layers, of which n - 2m stand there twice. Quality falls at the seam, and continued pretraining
    brings it back.
    """

    m: int = setting(8, at_least=0)
    """Layers left out of either copy."""

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the spec of the deeper model; raises SettingError for an `m` that makes none."""
        return depth_spec(model, self.sources)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Estimate the room that the files take."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Stream the layers to their places; leaves `surgery.json`, which names the added ones."""
        from storm_models.checkpoint.surgery import rearrange

        return rearrange(stage, model, self.sources(model.config()["num_hidden_layers"]))

    def sources(self, layers: int) -> list[int]:
        """Return which layer of a model of `layers` layers stands at each place, from 0."""
        if self.m >= layers:
            raise SettingError(
                "m", self.m, f"leaves nothing of {layers} layers; at most {(layers - 1) // 2}"
            )
        if 2 * self.m >= layers:
            raise SettingError(
                "m", self.m, f"duplicates none of {layers} layers; at most {(layers - 1) // 2}"
            )
        return [*range(layers - self.m), *range(self.m, layers)]
