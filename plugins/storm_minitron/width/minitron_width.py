"""The component `minitron_width`: width pruning."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from storm_exp import Cost, InputError, Rehearsed, StageContext, component
from storm_minitron.width.importance import Importance, ImportanceSpec
from storm_minitron.width.widths import Widths, WidthTargets, narrowed_config
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec, readable_count, shapes_digest
from storm_models.families.architecture import key_value_heads, parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, by_name
from storm_models.families.support import check_changeable
from storm_models.twins.shrinking import scaled

if TYPE_CHECKING:
    import torch

    from storm_minitron.width.selection import KeptIndices

_TARGETS = {
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "heads": "num_attention_heads",
}
"""{target: its name in the config}"""
_HEAD_DIM_IMPLIED = ("qwen2", "phi3")
"""Families whose configs have no `head_dim`: transformers uses one, other programs may not."""


@component("compressor", "minitron_width", version=1)
class MinitronWidth(WidthTargets):
    """Width pruning (Minitron, Muralidharan et al. 2024, arXiv 2407.14679).

    Keeps the most important hidden channels, the same in all layers, and in each layer the most
    important MLP neurons and attention heads, the same number in every key-value group. Key-value
    heads and channels within a head are kept. The result is worse than the model until it is
    distilled.
    """

    rescale_norms: bool = False
    """Multiply norms by √(d/d′), which preserves the function if the dropped channels were zero.
    Not in the paper; for ablations."""

    def plan_spec(self, model: CheckpointSpec, importance: ImportanceSpec) -> CheckpointSpec:
        """Return the spec of the pruned model.

        Raises InputError for the importances of another model, SettingError for impossible targets.
        """
        if model.config is None:
            return dataclasses.replace(model, parameters=None, shapes=None)
        check_changeable(model.config)
        if importance.shapes and model.shapes and importance.shapes != model.shapes:
            raise InputError("the importances were measured on a model with other tensor shapes")
        config = narrowed_config(model.config, self.resolve(model.config))
        shapes = tensor_shapes(config)
        assert shapes is not None
        return dataclasses.replace(
            model, config=config, parameters=parameter_count(config), shapes=shapes_digest(shapes)
        )

    def rehearsal(self, model: Rehearsed[CheckpointSpec]) -> MinitronWidth:
        """Return the component with sizes in proportion to the twin's; ratios are not changed."""
        real, twin = model.real.config or {}, model.twin.config or {}
        sizes: dict[str, int] = {}
        for name, width in _TARGETS.items():
            target = getattr(self, name)
            if target is not None and width in real and width in twin:
                sizes[name] = scaled(target, by_name(real)[width], by_name(twin)[width])
        if "heads" in sizes:  # a multiple of the key-value heads
            groups = key_value_heads(twin)
            sizes["heads"] = max(groups, sizes["heads"] // groups * groups)
        if "hidden_size" in sizes:
            heads = sizes.get("heads", twin["num_attention_heads"])
            sizes["hidden_size"] = max(heads, sizes["hidden_size"] // heads * heads)
        changes: dict[str, Any] = {"multiple_of": 1, **sizes}
        return dataclasses.replace(self, **changes)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint, importance: Importance) -> Checkpoint:
        """Write the pruned model, `pruning.json` for the report, and the indices in `kept.json`."""
        from storm_minitron.width.selection import select
        from storm_minitron.width.slicing import Slicer
        from storm_models.checkpoint.surgery import write_surgery

        before = model.config()
        widths = self.resolve(before)
        config = narrowed_config(before, widths)
        values = importance.values()
        kept = select(values, widths, key_value_heads(before))
        slicer = Slicer(before, kept, rescale_norms=self.rescale_norms)
        names = {name: name for name in tensor_shapes(config) or {}}
        result = write_surgery(stage, model, config, names, slicer)
        self._warn(stage, config, widths)
        self._record(stage, before, config, values, kept)
        return result

    def _record(
        self,
        stage: StageContext,
        before: ModelConfig,
        after: ModelConfig,
        values: dict[str, torch.Tensor],
        kept: KeptIndices,
    ) -> None:
        from storm_minitron.width.selection import importance_share

        indices = {"channels": kept.hidden, "neurons": kept.inner, "heads": kept.heads}
        sizes = {
            "channels": "hidden_size",
            "neurons": "intermediate_size",
            "heads": "num_attention_heads",
        }
        counts = [parameter_count(config) or 0 for config in (before, after)]
        content = {
            "method": "minitron_width",
            "parameters": counts,
            "rescale_norms": self.rescale_norms,
            "axes": [
                {
                    "name": axis,
                    "before": by_name(before)[size],
                    "after": by_name(after)[size],
                    "importance_held": importance_share(values[axis], indices[axis]),
                }
                for axis, size in sizes.items()
            ],
            "heads": kept.heads.tolist(),
        }
        for name, text in (
            ("pruning.json", json.dumps(content, indent=1)),
            ("kept.json", json.dumps({axis: index.tolist() for axis, index in indices.items()})),
        ):
            (stage.directory / name).write_text(text + "\n", encoding="utf-8")
        stage.metric("parameters", counts[1], main=True)
        stage.metric("share kept", counts[1] / counts[0])
        stage.say(f"{readable_count(counts[0])} parameters become {readable_count(counts[1])}")

    @staticmethod
    def _warn(stage: StageContext, config: ModelConfig, widths: Widths) -> None:
        implied = widths.hidden // widths.heads == config["head_dim"]
        if config["model_type"] in _HEAD_DIM_IMPLIED and not implied:
            stage.warn(
                f"configs of {config['model_type']} usually have no head_dim: transformers reads "
                "this one, other programs may not"
            )
