"""Names and shapes of a model's tensors, from its config alone."""

from __future__ import annotations

import math

from storm_exp import InputError
from storm_models.families.model_config import ModelConfig, by_name

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3")
"""Values of `model_type` whose tensors this module knows."""

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"

_DEFAULT_KV_HEADS = {"mistral": 8, "qwen2": 32, "qwen3": 32, "gemma2": 4, "gemma3_text": 4}
_DEFAULT_HEAD_DIM = {"qwen3": 128, "gemma2": 256, "gemma3_text": 256}
_TIED_BY_DEFAULT = ("gemma2", "gemma3_text")
SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
"""The sizes that every config states."""
LARGEST_SIZE = 1 << 31
"""A bound that no dimension or count of a config reaches."""
MOST_LAYERS = 10_000
_TAKES_ATTENTION_BIAS = ("llama", "qwen3", "gemma2", "gemma3_text")


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]] | None:
    """Return {name: shape} of the stored tensors of a causal language model.

    A tied head is not stored. Returns None for families other than `FAMILIES`. Raises InputError
    for a config of a known family that lacks a size or whose sizes contradict each other. The
    names and shapes are those that transformers 5 saves.
    """
    axes = tensor_axes(config)
    if axes is None:
        return None
    sizes = axis_sizes(config)
    return {
        name: tuple(sum(sizes[part] for part in axis.split("+")) for axis in dimensions)
        for name, dimensions in axes.items()
    }


def tensor_axes(config: ModelConfig) -> dict[str, tuple[str, ...]] | None:
    """Return {name: axis of each dimension} of the stored tensors, as `tensor_shapes` does.

    An axis is one of the names of `axis_sizes`, or several joined by `+` where a matrix is
    fused: phi3's `qkv_proj` is queries+keys+keys by hidden.
    """
    if config.get("model_type") not in FAMILIES:
        return None
    for name in SIZES:
        most = MOST_LAYERS if name == "num_hidden_layers" else LARGEST_SIZE
        size = by_name(config).get(name)
        if type(size) is not int or not 1 <= size <= most:
            problem = f"must be a whole number from 1 to {most}"
            raise InputError(f"config.json: {name}={size!r} {problem}")
    axes: dict[str, tuple[str, ...]] = {"model.embed_tokens.weight": ("vocabulary", "hidden")}
    layer = _layer_axes(config)
    for index in range(config["num_hidden_layers"]):
        axes |= {f"model.layers.{index}.{name}": dimensions for name, dimensions in layer.items()}
    axes["model.norm.weight"] = ("hidden",)
    if not ties_head(config):
        axes["lm_head.weight"] = ("vocabulary", "hidden")
    return axes


def axis_sizes(config: ModelConfig) -> dict[str, int]:
    """Return {vocabulary, hidden, inner, queries, keys, head_dim: size}.

    `inner` counts the neurons of an MLP, `queries` and `keys` the channels of all heads together.
    """
    size = head_dim(config)
    return {
        "vocabulary": config["vocab_size"],
        "hidden": config["hidden_size"],
        "inner": config["intermediate_size"],
        "queries": config["num_attention_heads"] * size,
        "keys": key_value_heads(config) * size,
        "head_dim": size,
    }


def parameter_count(config: ModelConfig) -> int | None:
    """Return the number of stored parameters, None for an unknown family."""
    shapes = tensor_shapes(config)
    return None if shapes is None else sum(math.prod(shape) for shape in shapes.values())


def is_quantised(config: ModelConfig | None) -> bool:
    """Return whether a config says that the weights are quantised; null says that they are not."""
    return (config or {}).get("quantization_config") is not None


def stated_head_dim(config: ModelConfig) -> int | None:
    """Return the head size that config or family states, None where it follows from other sizes."""
    stated = config.get("head_dim") or _DEFAULT_HEAD_DIM.get(config["model_type"])
    return int(stated) if stated else None


def head_dim(config: ModelConfig) -> int:
    """Return the size of one attention head."""
    stated = stated_head_dim(config)
    if stated:
        return stated
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if hidden % heads:
        raise InputError(f"config.json: hidden_size={hidden} is not divisible by {heads} heads")
    return int(hidden // heads)


def key_value_heads(config: ModelConfig) -> int:
    """Return the number of key-value heads; raises InputError if it does not divide the heads."""
    heads = config["num_attention_heads"]
    default = _DEFAULT_KV_HEADS.get(config["model_type"], heads)
    stated = config.get("num_key_value_heads", default)
    stated = heads if stated is None else stated
    if stated < 1 or heads % stated:
        raise InputError(
            f"config.json: num_attention_heads={heads} is not divisible by "
            f"num_key_value_heads={stated}"
        )
    return int(stated)


def ties_head(config: ModelConfig) -> bool:
    """Return whether the head is the embedding."""
    stated = config.get("tie_word_embeddings")
    return config["model_type"] in _TIED_BY_DEFAULT if stated is None else bool(stated)


def _layer_axes(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    return {
        "input_layernorm.weight": ("hidden",),
        **_attention_axes(config),
        "post_attention_layernorm.weight": ("hidden",),
        **_mlp_axes(config),
    }


def _attention_axes(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    family = config["model_type"]
    inputs = {"q_proj": "queries", "k_proj": "keys", "v_proj": "keys"}
    if family == "phi3":
        inputs = {"qkv_proj": "queries+keys+keys"}
    axes: dict[str, tuple[str, ...]] = {}
    for name, rows in inputs.items():
        axes[f"self_attn.{name}.weight"] = (rows, "hidden")
    axes["self_attn.o_proj.weight"] = ("hidden", "queries")
    biased = family in _TAKES_ATTENTION_BIAS and bool(config.get("attention_bias"))
    if biased or family == "qwen2":
        for name, rows in inputs.items():
            axes[f"self_attn.{name}.bias"] = (rows,)
    if biased:
        axes["self_attn.o_proj.bias"] = ("hidden",)
    if family in ("qwen3", "gemma3_text"):
        axes["self_attn.q_norm.weight"] = ("head_dim",)
        axes["self_attn.k_norm.weight"] = ("head_dim",)
    return axes


def _mlp_axes(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    family = config["model_type"]
    inputs = {"gate_proj": "inner", "up_proj": "inner"}
    if family == "phi3":
        inputs = {"gate_up_proj": "inner+inner"}
    axes: dict[str, tuple[str, ...]] = {}
    if family in ("gemma2", "gemma3_text"):
        axes["pre_feedforward_layernorm.weight"] = ("hidden",)
    for name, rows in inputs.items():
        axes[f"mlp.{name}.weight"] = (rows, "hidden")
    axes["mlp.down_proj.weight"] = ("hidden", "inner")
    if family == "llama" and config.get("mlp_bias"):
        for name, rows in inputs.items():
            axes[f"mlp.{name}.bias"] = (rows,)
        axes["mlp.down_proj.bias"] = ("hidden",)
    if family in ("gemma2", "gemma3_text"):
        axes["post_feedforward_layernorm.weight"] = ("hidden",)
    return axes
