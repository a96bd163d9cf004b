"""The tensors of a GGUF file: llama.cpp's names, and how their values are converted."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from storm_exp import InputError
from storm_export.gguf.formats import BITS, GgufType, stored_type
from storm_models.families.architecture import (
    EMBEDDING,
    HEAD,
    head_dim,
    tensor_shapes,
    ties_head,
)
from storm_models.families.model_config import ModelConfig

_WHOLE = {EMBEDDING: "token_embd.weight", "model.norm.weight": "output_norm.weight"}
_WHOLE[HEAD] = "output.weight"
_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OF_GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_COMPUTED = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
"""Stored in early checkpoints, although every engine computes it."""


@dataclasses.dataclass(frozen=True)
class GgufTensor:
    """A tensor of a GGUF file and its source in the checkpoint."""

    name: str
    source: str
    shape: tuple[int, ...]
    head_size: int = 0
    """Rows per head if the two halves of each head are interleaved; 0 if rows keep their order."""
    offset: float = 0.0
    """Constant that is added to every value."""

    is_head: bool = False
    """Whether logits are computed with it: the head, or the embedding if it is tied."""

    def stored_as(self, type_: GgufType) -> GgufType:
        """Return the tensor's type in a file of a type: vectors stay in 32 bits."""
        if len(self.shape) == 1:
            return GgufType.f32
        return stored_type(type_, self.shape[-1], self.is_head)

    def size(self, type_: GgufType) -> int:
        """Return its bytes in a file of a type; K types are mixed by libllama, and approximate."""
        return int(math.prod(self.shape) * BITS[self.stored_as(type_)] / 8)


def gguf_tensors(
    config: ModelConfig, headers: Mapping[str, tuple[str, tuple[int, ...]]]
) -> list[GgufTensor]:
    """Return the tensors of a GGUF file, in the order of the checkpoint.

    llama.cpp rotates neighbouring channels of Llama's queries and keys, transformers rotates
    halves, so the rows of each head are interleaved. Gemma's norms multiply by 1 + weight, which
    is stored as one number. Raises InputError for tensors that do not match the config.
    """
    family = config["model_type"]
    expected = tensor_shapes(config)
    assert expected is not None
    shapes = {name: shape for name, (_, shape) in headers.items() if not _COMPUTED.fullmatch(name)}
    if ties_head(config):
        shapes.pop(HEAD, None)  # transformers uses the embedding instead
    different = sorted(expected.items() ^ shapes.items())
    if different:
        raise InputError(
            f"{different[0][0]}: missing, unexpected, or of another shape than config.json implies"
        )
    parts = {**_PARTS, **(_OF_GEMMA if family.startswith("gemma") else {})}
    interleaved = ("attn_q", "attn_k") if family in ("llama", "mistral") else ()
    tensors = []
    for source, shape in shapes.items():
        layer = _LAYER.fullmatch(source)
        part = parts[layer[2]] if layer else ""
        tensors.append(
            GgufTensor(
                name=f"blk.{layer[1]}.{part}.{layer[3]}" if layer else _WHOLE[source],
                source=source,
                shape=shape,
                head_size=head_dim(config) if part in interleaved else 0,
                offset=float(family.startswith("gemma") and source.endswith("norm.weight")),
                is_head=source == (EMBEDDING if ties_head(config) else HEAD),
            )
        )
    return tensors
