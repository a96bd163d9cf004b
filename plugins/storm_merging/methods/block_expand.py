"""The component `block_expand`: a deeper model that computes the same function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import Cost, SettingError, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import depth_spec, new_layers
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    import torch

_OUTPUT_PROJECTIONS = tuple(
    f"{module}.{part}"
    for module in ("self_attn.o_proj", "mlp.down_proj")
    for part in ("weight", "bias")
)
_OUTPUT_NORMS = ("post_attention_layernorm.weight", "post_feedforward_layernorm.weight")
_OUTPUT_NORM_FAMILIES = ("gemma2", "gemma3_text")


@component("merger", "block_expand", version=1)
class BlockExpand:
    """Block expansion (LLaMA Pro, Wu et al. 2024, arXiv 2401.02415).

    After every `every` layers, a copy of the last of them is inserted whose attention and MLP add
    nothing to the residual stream, so the model computes as before until it is trained further
    (the authors train the copies only). To that end `o_proj` and `down_proj` are zero; in Gemma 2
    and 3, the norms after them are, since a norm would scale the first small outputs of a zero
    matrix up to full size after a single training step.
    """

    every: int = setting(4, at_least=1)
    """Layers in a group that is followed by a copy; a smaller group at the end gets none."""

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the spec of the deeper model; raises SettingError when nothing is added."""
        return depth_spec(model, self.sources)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Write the layers in their new order, and `surgery.json`, which names the added ones."""
        from storm_models.checkpoint.surgery import rearrange

        config = model.config()
        sources = self.sources(config["num_hidden_layers"])
        constants = silenced_tensors(config["model_type"], new_layers(sources))

        def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.new_full(tensor.shape, constants[name]) if name in constants else tensor

        return rearrange(stage, model, sources, change)

    def sources(self, layers: int) -> list[int]:
        """Return, for each layer of the new model, its source among the `layers` layers, from 0."""
        if self.every > layers:
            raise SettingError("every", self.every, f"is more than the model's {layers} layers")
        return [
            source
            for layer in range(layers)
            for source in [layer] * (2 if (layer + 1) % self.every == 0 else 1)
        ]


def silenced_tensors(family: str, layers: list[int]) -> dict[str, float]:
    """Return {tensor name: constant to fill it with} so that the given layers add nothing.

    Gemma stores a norm's scale minus one, so 0 is stored as -1.
    """
    by_norm = family in _OUTPUT_NORM_FAMILIES
    names, value = (_OUTPUT_NORMS, -1.0) if by_norm else (_OUTPUT_PROJECTIONS, 0.0)
    return {f"model.layers.{layer}.{name}": value for layer in layers for name in names}
