"""Random models for the GPU benchmarks, in the shapes of published ones."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

HALF_BILLION = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "rope_theta": 1e6,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
EIGHT_BILLION = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rope_theta": 5e5,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
TINY = {
    "vocab_size": 8192,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def build(config: dict[str, Any], dtype: torch.dtype, device: str = "") -> PreTrainedModel:
    """Return a model of random weights on `device`, or on the GPU if there is one."""
    kind = config["model_type"]
    options = {key: value for key, value in config.items() if key != "model_type"}
    theta = options.pop("rope_theta")
    options["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
    settings = AutoConfig.for_model(kind, **options, bos_token_id=None, eos_token_id=None)
    torch.manual_seed(0)
    with torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(settings, dtype=dtype)
        return model


def describe_device() -> str:
    """Return the GPU and CUDA's version, for a page."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return "No GPU, in miniature"
