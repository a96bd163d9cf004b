"""The component `block_expand`: a deeper model that computes the same, with room to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import depth_spec, new_layers
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    import torch

_EXITS = tuple(
    f"{module}.{part}"
    for module in ("self_attn.o_proj", "mlp.down_proj")
    for part in ("weight", "bias")
)
_NORMS_BEHIND = ("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")
_NORM_BEHIND_FAMILIES = ("gemma2", "gemma3_text")


@component("merger", "block_expand", version=1)
class BlockExpand:
    """Block expansion (LLaMA Pro, Wu et al. 2024, arXiv 2401.02415).

    After every `every` layers stands a copy of the last of them whose attention and MLP add
    nothing to the residual stream, so the model answers as before until it is trained further:
    the copies alone, as the authors did. What ends the two branches is zero: `o_proj` and
    `down_proj`; in Gemma 2 and 3 the norms behind them, since a norm would blow the first small
    output of a zero matrix up to full size after a single step of training.
    """

    every: int = setting(4, at_least=1)
    """Layers after which a copy stands; a smaller group at the end gets none."""

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the spec of the deeper model; raises SettingError where nothing is added."""
        return depth_spec(model, self.sources)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Estimate the room that the files take."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Stream the layers to their places; leaves `surgery.json`, which names the added ones."""
        from storm_models.checkpoint.surgery import rearrange

        config = model.config()
        sources = self.sources(config["num_hidden_layers"])
        silent = silenced(config["model_type"], new_layers(sources))

        def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.new_full(tensor.shape, silent[name]) if name in silent else tensor

        return rearrange(stage, model, sources, change)

    def sources(self, layers: int) -> list[int]:
        """Return which layer of a model of `layers` layers stands at each place, from 0."""
        if self.every > layers:
            raise SettingError("every", self.every, f"is more than the model's {layers} layers")
        return [
            place
            for layer in range(layers)
            for place in [layer] * (2 if (layer + 1) % self.every == 0 else 1)
        ]


def silenced(family: str, layers: list[int]) -> dict[str, float]:
    """Return {tensor name: constant} of what makes the given layers add nothing.

    Gemma stores a norm's scale less one: -1 stands for 0.
    """
    behind = family in _NORM_BEHIND_FAMILIES
    names, value = (_NORMS_BEHIND, -1.0) if behind else (_EXITS, 0.0)
    return {f"model.layers.{layer}.{name}": value for layer in layers for name in names}
