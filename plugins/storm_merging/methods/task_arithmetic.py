"""The component `task_arithmetic`: a base plus the changes of its fine-tuned models."""

from __future__ import annotations

from storm_exp import Cost, StageContext, component, setting
from storm_merging.methods.interpolation_weights import check_weights, equal_weights
from storm_merging.parents.compatibility import merge_spec, sum_cost
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "task_arithmetic", version=2)
class TaskArithmetic:
    """The base plus weighted task vectors, model - base (Ilharco et al. 2023).

    Config, tokenizer and dtypes are the base's.
    """

    weights: list[float] = setting([])
    """A weight for each model, in the order of the port; empty: 1 each."""

    scale: float = 1.0
    """Factor of all weights."""

    def __post_init__(self) -> None:
        check_weights(self.weights, self.scale)

    def plan_spec(self, base: CheckpointSpec, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the base's spec; raises InputError for models that do not fit."""
        equal_weights(self.weights, len(models))
        names = ["the base", *(f"model {i}" for i in range(1, len(models) + 1))]
        return merge_spec([base, *models], names)

    def cost(self, spec: CheckpointSpec, models: list[CheckpointSpec]) -> Cost | None:
        """Return the cost of one weighted sum."""
        return sum_cost(spec, len(models) + 1)

    def run(self, stage: StageContext, base: Checkpoint, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with the weights."""
        from storm_merging.parents.compatibility import shared_tensors
        from storm_merging.parents.measurements import check_finite
        from storm_merging.parents.merged_checkpoint import merge, write_summary

        names = shared_tensors([base, *models])
        check_finite(stage, [base, *models])
        weights = [self.scale * weight for weight in equal_weights(self.weights, len(models))]
        coefficients = [1.0 - sum(weights), *weights]
        merged = merge(stage, [base, *models], dict.fromkeys(names, coefficients))
        write_summary(merged, "task_arithmetic", weights=weights)
        stage.metric("models", len(models), main=True)
        return merged
