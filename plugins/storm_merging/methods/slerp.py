"""The component `slerp`: spherical interpolation between two checkpoints."""

from __future__ import annotations

from typing import Any

from storm_exp import Cost, InputError, StageContext, component, setting
from storm_merging.methods.interpolation_weights import check_groups, read_schedules, resolve
from storm_merging.parents.compatibility import merge_spec, sum_cost
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "slerp", version=2)
class Slerp:
    """Spherical interpolation between two checkpoints, tensor by tensor.

    After K. Shoemake, "Animating rotation with quaternion curves" (1985), as mergekit 0.1.5
    applies it to weights: tensors are not normalised, and pairs with |cosine| above 0.9995 are
    interpolated linearly. Config, tokenizer and dtypes are the first checkpoint's.
    """

    t: float = setting(0.5, at_least=0, at_most=1)
    """Weight of the second checkpoint."""

    schedules: dict[str, list[Any]] = setting({}, neutral={}, at_least=0, at_most=1)
    """Values of `t` for groups of tensors, spread over the layers: {self_attn: [0, 0.5, 1]}.
    Tensors in no group get `t`."""

    def __post_init__(self) -> None:
        # OmegaConf rejects integers in a nested list[float], and 0 must give the same key as 0.0.
        self.schedules = read_schedules(self.schedules)

    def plan_spec(self, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the first model's spec; raises InputError for models that do not fit."""
        if len(models) != 2:
            raise InputError(f"slerp merges exactly two checkpoints, not {len(models)}")
        merged = merge_spec(models, ["the first model", "the second model"])
        check_groups(self.schedules, merged.config)
        return merged

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the cost of the angles and of one weighted sum."""
        return sum_cost(spec, models=2, operations=2 + 3)

    def run(self, stage: StageContext, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with the angle between every pair of tensors."""
        from storm_merging.parents.compatibility import shared_tensors
        from storm_merging.parents.measurements import pair_angles
        from storm_merging.parents.merged_checkpoint import merge, write_summary
        from storm_merging.parents.spherical import slerp_coefficients

        names = shared_tensors(models)
        weights = resolve(self.t, self.schedules, list(names))
        first, second = models
        angles = pair_angles(stage, first, second, names)
        coefficients = {
            name: slerp_coefficients(weights[name], angle) for name, angle in angles.items()
        }
        merged = merge(stage, models, coefficients)
        slerped = sum(angle.spherical for angle in angles.values())
        write_summary(
            merged,
            "slerp",
            slerped=slerped,
            share_slerped=slerped / len(angles),
            angles=[
                {"name": name, "degrees": round(angle.degrees, 4), "t": weights[name]}
                for name, angle in angles.items()
            ],
        )
        stage.metric("share_slerped", slerped / len(angles), main=True)
        return merged
