"""The component `fp8_dynamic`: 8-bit floating-point weights and activations."""

from __future__ import annotations

import dataclasses

from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import FAMILIES, is_quantised, ties_head
from storm_models.families.memory import PROCESS, checkpoint_bytes, stored_width
from storm_models.families.model_config import ModelConfig
from storm_models.families.support import Use, check_family

_PACKAGES = ("torch", "transformers", "llmcompressor")


@component("compressor", "fp8_dynamic", version=1, requires=_PACKAGES, extra="fp8")
class Fp8Dynamic:
    """FP8 quantisation by llm-compressor: weights per channel, activations per token at run time.

    Needs no calibration data. Linear layers are quantised, embeddings and norms are not. Loads in
    transformers (decompressed) and vLLM (as FP8).
    """

    ignore: list[str] = setting(["lm_head"])
    """Names or types of modules to leave unquantised; `re:` marks a regular expression."""

    def __post_init__(self) -> None:
        if "" in self.ignore:
            raise SettingError("ignore", self.ignore, "an empty name matches nothing")

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the quantised model's spec; raises InputError if it is quantised already."""
        config = model.config or {}
        if is_quantised(config):
            raise InputError("the model is quantised already")
        check_family(config, Use.COMPRESS)
        quantised: ModelConfig = {
            **config,
            "quantization_config": {"quant_method": "compressed-tensors"},
        }
        config_known = quantised if model.config else None
        return dataclasses.replace(model, config=config_known, shapes=None)

    def cost(self, model: CheckpointSpec) -> Cost | None:
        """Return the memory of llm-compressor: the model, and half of it again for packing."""
        config = model.config or {}
        size = checkpoint_bytes(config) if config else None
        if size is None:
            return None
        unquantised = config["vocab_size"] * config["hidden_size"] * stored_width(config)
        unquantised *= 1 if ties_head(config) else 1 + ("lm_head" in self.ignore)
        disk = unquantised + (size - unquantised) / stored_width(config)
        return Cost(memory=PROCESS + 1.5 * size, disk=disk, on_host=True)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Load, quantise and save; raises InputError when nothing was quantised."""
        from storm_export.compression import compress
        from storm_export.summary import summarise

        with stage.compute(), stage.progress(3, "steps", "llm-compressor") as progress:
            compress(
                model,
                stage.directory,
                scheme="FP8_DYNAMIC",
                ignore=list(self.ignore),
                advance=progress.advance,
            )
        result = Checkpoint(stage.directory)
        quantised = sum(dtype.startswith("F8") for dtype, _ in result.headers().values())
        if quantised == 0:
            raise InputError(f"ignore={self.ignore}: no linear layer is left to quantise")
        if result.config()["model_type"] not in FAMILIES:
            result.load()  # raises if llm-compressor has renamed tensors
        summarise(stage, model, result, quantised)
        return result
