"""What vLLM's build for processors cannot serve."""

from __future__ import annotations

from typing import Any

from storm_exp import InputError
from storm_models.families.model_config import ModelConfig


def check_processor_serves(config: ModelConfig) -> None:
    """Raise InputError for FP8 weights with one scale per matrix.

    As it loads them, vLLM quantises each matrix again, by `static_scaled_fp8_quant`, of which its
    build for processors (0.32.0) has the name alone: the server ends with an error about arguments.
    """
    quantisation: dict[str, Any] = config.get("quantization_config") or {}
    for group in (quantisation.get("config_groups") or {}).values():
        weights = group.get("weights") or {}
        if weights.get("type") == "float" and weights.get("strategy") == "tensor":
            raise InputError(
                "vLLM's build for processors cannot serve FP8 with static scales of whole "
                "matrices: ask this model through transformers (inference=transformers for the "
                "stage), serve it on a GPU, or take compressor=fp8_dynamic"
            )
