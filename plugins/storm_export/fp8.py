"""What the two FP8 quantisations share: their setting, plan, sizes, and the check of the result."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp import InputError, SettingError, StageContext, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import FAMILIES, is_quantised, ties_head
from storm_models.families.memory import checkpoint_bytes, stored_width
from storm_models.families.model_config import ModelConfig
from storm_models.families.support import Use, check_family

PACKAGES = ("torch", "transformers", "llmcompressor")


@dataclasses.dataclass(kw_only=True)
class Fp8:
    """FP8 quantisation of linear layers by llm-compressor."""

    ignore: list[str] = setting(["lm_head"])
    """Names or types of modules to leave unquantised; `re:` marks a regular expression."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if "" in self.ignore:
            raise SettingError("ignore", self.ignore, "an empty name matches nothing")

    def quantised_spec(self, model: CheckpointSpec) -> CheckpointSpec:
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

    def sizes(self, model: CheckpointSpec) -> tuple[float, float] | None:
        """Return the bytes of the weights before and after; None for unknown families."""
        config = model.config or {}
        size = checkpoint_bytes(config) if config else None
        if size is None:
            return None
        unquantised = config["vocab_size"] * config["hidden_size"] * stored_width(config)
        unquantised *= 1 if ties_head(config) else 1 + ("lm_head" in self.ignore)
        return size, unquantised + (size - unquantised) / stored_width(config)

    def finish(self, stage: StageContext, model: Checkpoint, **further: Any) -> Checkpoint:
        """Return the result in the stage's directory, with its record, of which `further` is part.

        Raises InputError when nothing was quantised, or when transformers cannot read it back.
        """
        from storm_export.summary import summarise

        result = Checkpoint(stage.directory)
        quantised = sum(dtype.startswith("F8") for dtype, _ in result.headers().values())
        if quantised == 0:
            raise InputError(f"ignore={self.ignore}: no linear layer is left to quantise")
        if result.config()["model_type"] not in FAMILIES:
            result.load()  # raises if llm-compressor has renamed tensors
        summarise(stage, model, result, quantised, **further)
        return result
