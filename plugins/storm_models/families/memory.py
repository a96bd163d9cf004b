"""Memory of a transformer, from its config alone: bytes on the device it runs on.

What autograd saves was measured with saved-tensor hooks on transformers 5, and is tested that way.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from storm_models.families.architecture import (
    EMBEDDING,
    HEAD,
    axis_sizes,
    parameter_count,
    tensor_shapes,
    ties_head,
)
from storm_models.families.flops import Reading
from storm_models.families.model_config import ModelConfig

PROCESS = 0.55 * 2**30
"""Bytes of a process with its libraries: torch and transformers on a CPU, the GPU's context."""

_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
_LONGEST_DENSE = 512
"""Longest document whose attention saves its probabilities, on a CPU in bf16."""


def stored_width(config: ModelConfig) -> int:
    """Return the bytes of a stored parameter, 2 where the config does not say."""
    return _WIDTHS.get(str(config.get("dtype") or config.get("torch_dtype")), 2)


def checkpoint_bytes(config: ModelConfig, width: float | None = None) -> float | None:
    """Return the size of the weights, by default in the stored dtype; None for unknown families."""
    parameters = parameter_count(config)
    return None if parameters is None else parameters * (width or stored_width(config))


def inference_bytes(config: ModelConfig, batch: Reading, width: int) -> float | None:
    """Return the peak bytes of forward passes over `batch`, without those of the process.

    Counted are weights of `width` bytes, the key-value cache, the widest layer, and logits in fp32.
    """
    weights = checkpoint_bytes(config, width)
    if weights is None:
        return None
    sizes = axis_sizes(config)
    cache = 2 * sizes["keys"] * config["num_hidden_layers"] * width
    layer = 3 * sizes["inner"] * width + 3 * sizes["hidden"] * 4
    logits = batch.predicted * sizes["vocabulary"] * (width + 8)
    return weights + batch.tokens * (cache + layer) + logits


def activation_bytes(
    config: ModelConfig,
    batch: Reading,
    precision: str,
    *,
    trained: Collection[str] | None = None,
    flash: bool = True,
) -> list[float] | None:
    """Return for every layer the bytes that autograd saves of its forward pass over `batch`.

    `precision` is float32, bfloat16_mixed or bfloat16. `trained` names the trained tensors (None:
    all): inputs of frozen matrices are not saved, nor anything of layers below the first trained
    one. Without `flash`, documents of up to 512 tokens save their attention's probabilities. None
    for an unknown family.
    """
    shapes = tensor_shapes(config)
    if shapes is None:
        return None
    layers: list[dict[str, tuple[int, ...]]] = [{} for _ in range(config["num_hidden_layers"])]
    for name, shape in shapes.items():
        if name.startswith("model.layers."):
            layers[int(name.split(".")[2])][name] = shape
    reached = trained is None or EMBEDDING in trained
    saved = []
    for layer in layers:
        reached = reached or any(name in (trained or ()) for name in layer)
        per_token = _Layer(config, layer, precision, trained).bytes(batch.context, flash)
        saved.append(per_token * batch.tokens if reached else 0.0)
    return saved


def working_bytes(config: ModelConfig, batch: Reading, precision: str) -> float:
    """Return the peak bytes of gradients in a layer's backward pass, reached in the MLP."""
    sizes = axis_sizes(config)
    width = 4 if precision == "float32" else 2
    return batch.tokens * (3 * sizes["inner"] * width + 2 * sizes["hidden"] * 4)


def head_parameters(config: ModelConfig) -> int:
    """Return the number of the head's parameters."""
    return int(config["vocab_size"] * config["hidden_size"])


def head_name(config: ModelConfig) -> str:
    """Return the name of the head's tensor: the embedding's where they are tied."""
    return EMBEDDING if ties_head(config) else HEAD


class _Layer:
    """The bytes that autograd saves of one layer, per token."""

    def __init__(
        self,
        config: ModelConfig,
        shapes: dict[str, tuple[int, ...]],
        precision: str,
        trained: Collection[str] | None,
    ) -> None:
        """`shapes` are those of the layer's tensors, by their names in the model."""
        self._heads, self._sizes = config["num_attention_heads"], axis_sizes(config)
        self._precision, self._width = precision, 4 if precision == "float32" else 2
        self._shapes = {name.split(".", 3)[3]: shape for name, shape in shapes.items()}
        self._learning = {n.split(".", 3)[3] for n in shapes if trained is None or n in trained}

    def bytes(self, context: float, flash: bool) -> float:
        """Return the bytes per token."""
        return self._norms() + self._inputs() + self._attention(context, flash) + self._mlp()

    def _norms(self) -> float:
        """Hidden states in fp32, and for trained weights normalised ones in the stream's dtype."""
        sizes = {"q_norm": "queries", "k_norm": "keys"}
        stream = 2 if self._precision == "bfloat16" else 4
        return sum(
            self._sizes[sizes.get(name.split(".")[-2], "hidden")]
            * (4 + stream * (name in self._learning))
            for name in self._shapes
            if "norm" in name
        )

    def _inputs(self) -> float:
        """Inputs of the first matrices of attention and MLP.

        Autocast copies the input for each of them; otherwise they share the norm's output.
        """
        copies = 0
        for part, last in (("self_attn", "o_proj"), ("mlp", "down_proj")):
            readers = [
                name
                for name in self._learning
                if name.startswith(part) and last not in name and len(self._shapes[name]) == 2
            ]
            copies += len(readers) if self._precision == "bfloat16_mixed" else min(1, len(readers))
        return copies * self._sizes["hidden"] * self._width

    def _attention(self, context: float, flash: bool) -> float:
        """Queries, keys, values and outputs, or the probabilities.

        On a CPU the kernels use padded copies, in fp32 for long documents.
        """
        queries, keys, width = self._sizes["queries"], self._sizes["keys"], self._width
        inputs = width * (queries + 2 * keys)
        result = width * queries * ("self_attn.o_proj.weight" in self._learning)
        if flash and width == 2:
            return inputs + width * queries + 4 * self._heads
        if width == 4 or context > _LONGEST_DENSE:
            return inputs + 4 * queries + 4 * self._heads + result
        return inputs + width * self._heads * context + result

    def _mlp(self) -> float:
        """Gate, activated gate and up; for a trained last matrix also their product."""
        return self._width * self._sizes["inner"] * (3 + ("mlp.down_proj.weight" in self._learning))


def layer_parameters(config: ModelConfig) -> float:
    """Return the mean number of parameters of a layer."""
    shapes = tensor_shapes(config) or {}
    layers = sum(math.prod(s) for name, s in shapes.items() if name.startswith("model.layers."))
    return layers / config["num_hidden_layers"]
