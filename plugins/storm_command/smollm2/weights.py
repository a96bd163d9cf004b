"""SmolLM2's weights, from arrays with the names and the row order of llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from storm_models.families.architecture import key_value_heads, tensor_shapes
from storm_models.families.model_config import ModelConfig
from storm_models.folder.files import WEIGHT_FILE
from storm_models.folder.tensor_file import DTYPES, TensorWriter

_MODEL_TENSORS = {
    "model.embed_tokens.weight": "token_embd",
    "model.norm.weight": "output_norm",
    "lm_head.weight": "output",
}
_LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_weights(arrays: Path, config: ModelConfig, directory: Path) -> None:
    """Write model.safetensors in the config's dtype from `NAME.npy`, a tensor at a time."""
    shapes = tensor_shapes(config)
    assert shapes is not None
    stored = {"bfloat16": "BF16", "float32": "F32"}[str(config["dtype"])]
    layout = {name: (stored, shape) for name, shape in shapes.items()}
    heads = {
        "self_attn.q_proj": config["num_attention_heads"],
        "self_attn.k_proj": key_value_heads(config),
    }
    with TensorWriter(directory / WEIGHT_FILE, layout) as writer:
        for name, shape in shapes.items():
            source, kind = _source_name(name)
            values = torch.from_numpy(np.load(arrays / f"{source}.weight.npy"))
            assert tuple(values.shape) == shape, (name, values.shape)
            if kind in heads:
                values = halves_of_heads(values, heads[kind])
            writer.write(name, values.to(DTYPES[stored]))


def halves_of_heads(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Return rows (heads · d, in) with each head's even rows first, then its odd ones.

    llama.cpp rotates neighbouring rows of a head together; transformers rotates rows i and
    i + d/2.
    """
    pairs = values.reshape(heads, -1, 2, values.shape[-1])
    return pairs.transpose(1, 2).reshape(values.shape)


def _source_name(name: str) -> tuple[str, str]:
    """Return llama.cpp's name of a tensor, and its name within the layer, '' outside layers."""
    if name in _MODEL_TENSORS:
        return _MODEL_TENSORS[name], ""
    _, _, layer, kind = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{_LAYER_TENSORS[kind]}", kind
