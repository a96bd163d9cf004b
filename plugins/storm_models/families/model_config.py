"""The keys of config.json, by transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast


class ModelConfig(TypedDict, total=False):
    """The keys of config.json that are read here; other keys of a file are carried unread.

    `storm_models.folder.config_check` refuses values of other types before anything is computed
    from them. A null key counts as absent.
    """

    model_type: str
    """The family: llama, mistral, qwen2."""
    architectures: list[str] | None
    transformers_version: str | None
    dtype: str | None
    """The stored dtype; `torch_dtype` in files of transformers 4."""
    torch_dtype: str | None
    quantization_config: dict[str, Any] | None
    """How the weights are quantised; null: they are not."""
    auto_map: dict[str, Any] | None
    """The repository's own code, which is never run."""

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
    """Rotary position parameters, of all layers or by kind of layer."""
    rope_scaling: dict[str, Any] | None
    """The same in files of transformers 4."""

    layer_types: list[str] | None
    """The kind of every layer: full_attention, sliding_attention."""
    sliding_window: int | None
    use_sliding_window: bool | None
    max_window_layers: int | None
    """The first layer with a sliding window, in Qwen's families."""
    sliding_window_pattern: int | None
    """In Gemma 3, every how many layers one has full attention; also written with `_`."""
    _sliding_window_pattern: int | None

    bos_token_id: int | list[int] | None
    eos_token_id: int | list[int] | None
    pad_token_id: int | list[int] | None


def model_config(content: Mapping[str, Any]) -> ModelConfig:
    """Return a JSON object typed as a ModelConfig, unchecked and not copied."""
    return cast(ModelConfig, content)


def by_name(config: ModelConfig) -> dict[str, Any]:
    """Return a config as a plain dict, for access by computed names and to keys not listed here."""
    return cast("dict[str, Any]", config)


def with_values(config: ModelConfig, **values: Any) -> ModelConfig:
    """Return a config with other values; the same one where it states them already."""
    stated = by_name(config)
    if all(stated.get(name) == value for name, value in values.items()):
        return config
    return model_config({**stated, **values})
