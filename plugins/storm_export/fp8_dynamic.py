"""The component `fp8_dynamic`: 8-bit floating-point weights and activations."""

from __future__ import annotations

from storm_exp import Cost, StageContext, component
from storm_export.fp8 import PACKAGES, Fp8
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.memory import PROCESS


@component("compressor", "fp8_dynamic", version=1, requires=PACKAGES, extra="fp8")
class Fp8Dynamic(Fp8):
    """FP8 quantisation by llm-compressor: weights per channel, activations per token at run time.

    Needs no calibration data. Linear layers are quantised, embeddings and norms are not. Loads in
    transformers (decompressed) and vLLM (as FP8).
    """

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the quantised model's spec; raises InputError if it is quantised already."""
        return self.quantised_spec(model)

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Return the memory of llm-compressor: the model, and half of it again for packing."""
        sizes = self.sizes(model)
        if sizes is None:
            return None
        before, after = sizes
        return Cost(memory=PROCESS + 1.5 * before, disk=after, on_host=True)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Load, quantise and save; raises InputError when nothing was quantised."""
        from storm_export.compression import compress

        with stage.compute(), stage.progress(3, "steps", "llm-compressor") as progress:
            compress(
                model,
                stage.directory,
                scheme="FP8_DYNAMIC",
                ignore=list(self.ignore),
                advance=progress.advance,
            )
        return self.finish(stage, model)
