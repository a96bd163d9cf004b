"""The common settings, checks and ports of the mergers that use mergekit's arithmetic."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from omegaconf import II

from storm_exp import Cost, InputError, SettingError, StageContext, setting
from storm_merging.methods.interpolation_weights import check_weights, equal_weights
from storm_merging.parents.compatibility import merge_spec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec


@dataclasses.dataclass(kw_only=True)
class MergekitMerger:
    """Merges a base and models that were trained from it, tensor by tensor with mergekit.

    Config, tokenizer and dtypes are the base's; arithmetic is in fp32 (fp64 for fp64 weights),
    rounded once. A model that is identical to the base is left out.
    """

    method: ClassVar[str]
    """mergekit's name of the method."""
    min_models: ClassVar[int] = 1
    """Fewest models that the method takes, besides the base."""

    def plan_spec(self, base: CheckpointSpec, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the base's spec; raises InputError for models that do not fit."""
        if len(models) < self.min_models:
            raise InputError(
                f"{self.method} needs {self.min_models} or more models besides the base, not "
                f"{len(models)}"
            )
        self.parameters(len(models))
        names = ["the base", *(f"model {i}" for i in range(1, len(models) + 1))]
        return merge_spec([base, *models], names)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters for `count` models: single values, or one per model."""
        return {}

    def run(self, stage: StageContext, base: Checkpoint, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with method and parameters."""
        from storm_merging.mergekit.arithmetic import merge_with_mergekit

        parameters = self.parameters(len(models))
        seed = getattr(self, "seed", 0)
        return merge_with_mergekit(stage, self.method, base, models, parameters, seed)


@dataclasses.dataclass(kw_only=True)
class TaskVectors(MergekitMerger):
    """Settings of methods that sparsify the changes of fine-tuning and sum them."""

    weights: list[float] = setting([])
    """A weight for each model, in the order of the port; empty: 1 each."""

    density: float = setting(0.5, above=0, at_most=1)
    """Share of every tensor's changes to keep."""

    scale: float = 1.0
    """Factor of the sum of all changes."""

    normalise: bool = False
    """Divide the sum by the weights of the models that contribute."""

    rescale: bool = False
    """Scale the kept changes of a tensor up to the L1 norm of all its changes."""

    def __post_init__(self) -> None:
        check_weights(self.weights, self.scale)

    def parameters(self, count: int) -> dict[str, Any]:
        """Return the parameters that all of these methods take."""
        return {
            "weight": equal_weights(self.weights, count),
            "density": self.density,
            "lambda": self.scale,
            "normalize": self.normalise,
            "rescale": self.rescale,
        }


@dataclasses.dataclass(kw_only=True)
class RandomTaskVectors(TaskVectors):
    """Settings of methods that keep changes at random."""

    rescale: bool = True

    seed: int = II("seed")
    """Seed of the choice, for each tensor combined with its name."""


@dataclasses.dataclass(kw_only=True)
class DellaTaskVectors(RandomTaskVectors):
    """Settings of methods that keep larger changes with a higher probability."""

    epsilon: float = setting(0.15, at_least=0)
    """Largest difference between these probabilities and the density."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.density - self.epsilon, self.density + self.epsilon
        if self.density < 1 and not (low > 0 and high < 1):
            problem = f"density ± epsilon, {low:g} to {high:g}, must lie between 0 and 1"
            raise SettingError("epsilon", self.epsilon, problem)

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters."""
        return {**super().parameters(count), "epsilon": self.epsilon}


@dataclasses.dataclass(kw_only=True)
class OutlierTaskVectors(TaskVectors):
    """Settings of methods that drop the largest changes as well as the smallest."""

    gamma: float = setting(0.01, at_least=0, below=1)
    """Share of every tensor's changes to drop as too large."""

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters."""
        return {**super().parameters(count), "gamma": self.gamma}
