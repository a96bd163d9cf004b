"""The component `linear`: a weighted mean of checkpoints."""

from __future__ import annotations

from storm_exp import Cost, InputError, StageContext, component, setting
from storm_merging.methods.interpolation_weights import check_weights, equal_weights
from storm_merging.parents.compatibility import merge_spec, sum_cost
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


@component("merger", "linear", version=2)
class Linear:
    """Weighted mean of two or more checkpoints ("model soup", Wortsman et al. 2022).

    Config, tokenizer and dtypes are the first checkpoint's.
    """

    weights: list[float] = setting([])
    """A weight for each model, in the order of the port; empty: equal weights."""

    normalise: bool = True
    """Divide the weights by their sum."""

    def __post_init__(self) -> None:
        check_weights(self.weights)

    def plan_spec(self, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the first model's spec; raises InputError for models that do not fit."""
        if len(models) < 2:
            raise InputError("linear merges two or more checkpoints, not one")
        self._coefficients(len(models))
        return merge_spec(models, [f"model {i}" for i in range(1, len(models) + 1)])

    def cost(self, spec: CheckpointSpec, models: list[CheckpointSpec]) -> Cost | None:
        """Return the cost of one weighted sum."""
        return sum_cost(spec, len(models))

    def run(self, stage: StageContext, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with the weights."""
        from storm_merging.parents.compatibility import shared_tensors
        from storm_merging.parents.measurements import check_finite
        from storm_merging.parents.merged_checkpoint import merge, write_summary

        names = shared_tensors(models)
        check_finite(stage, models)
        coefficients = self._coefficients(len(models))
        merged = merge(stage, models, dict.fromkeys(names, coefficients))
        write_summary(merged, "linear", weights=coefficients)
        stage.metric("models", len(models), main=True)
        return merged

    def _coefficients(self, count: int) -> list[float]:
        weights = equal_weights(self.weights, count)
        total = sum(weights)
        if not self.normalise:
            return weights
        if abs(total) < 1e-8:
            raise InputError(f"weights={weights}: they sum to 0 and cannot be normalised")
        return [weight / total for weight in weights]
