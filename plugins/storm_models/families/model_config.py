"""What config.json says of a model, key by key, in transformers' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast


class ModelConfig(TypedDict, total=False):
    """The keys of config.json that are read here; a file holds others, which go along unread.

    `storm_models.folder.config_check` refuses values of other kinds before anything is computed
    from them. A key that is null counts as one that is absent.
    """

    model_type: str
    """The family: llama, mistral, qwen2."""
    architectures: list[str] | None
    transformers_version: str | None
    dtype: str | None
    """What the weights are stored in; `torch_dtype` in files of transformers 4."""
    torch_dtype: str | None
    quantization_config: dict[str, Any] | None
    """How the weights are compressed; null says that they are not."""
    auto_map: dict[str, Any] | None
    """Code of the model's own, which is never run."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    """Neurons of an MLP."""
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None
    head_dim: int | None
    """Channels of a head, where they are not hidden_size over the heads."""
    attention_bias: bool | None
    mlp_bias: bool | None
    tie_word_embeddings: bool | None
    """Whether the head is the embedding."""
    hidden_act: str | None
    hidden_activation: str | None
    rms_norm_eps: float | None
    attention_dropout: float | None
    initializer_range: float | None
    query_pre_attn_scalar: float | None
    attn_logit_softcapping: float | None
    final_logit_softcapping: float | None
    num_local_experts: int | None
    num_experts_per_tok: int | None

    max_position_embeddings: int | None
    original_max_position_embeddings: int | None
    rope_theta: float | None
    rope_local_base_freq: float | None
    partial_rotary_factor: float | None
    rope_parameters: dict[str, Any] | None
    """How positions turn queries and keys, of all layers or of each kind by its name."""
    rope_scaling: dict[str, Any] | None
    """The same in files of transformers 4."""

    layer_types: list[str] | None
    """The kind of every layer: full_attention, sliding_attention."""
    sliding_window: int | None
    use_sliding_window: bool | None
    max_window_layers: int | None
    """The first layer that slides, in Qwen's families."""
    sliding_window_pattern: int | None
    """In Gemma 3 the period after which a layer attends to everything; also written with `_`."""
    _sliding_window_pattern: int | None

    bos_token_id: int | list[int] | None
    eos_token_id: int | list[int] | None
    pad_token_id: int | list[int] | None


def model_config(content: Mapping[str, Any]) -> ModelConfig:
    """Return what a JSON object says of a model; the object itself, nothing of it is checked."""
    return cast(ModelConfig, content)


def by_name(config: ModelConfig) -> dict[str, Any]:
    """Return a config for those who go over names of keys, and over keys that are not read here."""
    return cast("dict[str, Any]", config)
