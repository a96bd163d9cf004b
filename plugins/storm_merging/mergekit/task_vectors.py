"""What the mergers have in common that take mergekit's arithmetic: settings, checks, ports."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from omegaconf import II

from storm_exp import Cost, InputError, SettingError, StageContext, setting
from storm_merging.methods.schedule import check_weights, equal_weights
from storm_merging.parents.compatibility import merge_spec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec


@dataclasses.dataclass(kw_only=True)
class MergekitMerger:
    """A base and models that were trained from it, merged tensor by tensor by mergekit.

    Config, tokenizer and dtypes are the base's; arithmetic is in fp32 (fp64 for fp64 weights),
    rounded once. A model that is the base itself takes no part.
    """

    method: ClassVar[str]
    """mergekit's name of the method."""
    fewest: ClassVar[int] = 1
    """Models that it needs beside the base."""

    def plan_spec(self, base: CheckpointSpec, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the base's spec; raises InputError for models that do not fit."""
        if len(models) < self.fewest:
            raise InputError(
                f"{self.method} needs {self.fewest} or more models beside the base, not "
                f"{len(models)}"
            )
        self.parameters(len(models))
        names = ["the base", *(f"model {i}" for i in range(1, len(models) + 1))]
        return merge_spec([base, *models], names)

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Estimate the room that the files take."""
        return writing_cost(spec)

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters: a number for all models, or a list with one for each."""
        return {}

    def run(self, stage: StageContext, base: Checkpoint, models: list[Checkpoint]) -> Checkpoint:
        """Merge; leaves `merge.json` with method and parameters."""
        from storm_merging.mergekit.arithmetic import merge_with_mergekit

        parameters = self.parameters(len(models))
        seed = getattr(self, "seed", 0)
        return merge_with_mergekit(stage, self.method, base, models, parameters, seed)


@dataclasses.dataclass(kw_only=True)
class TaskVectors(MergekitMerger):
    """Settings of the methods that thin out what fine-tuning changed and add it up."""

    weights: list[float] = setting([])
    """A weight per model, in the order of the port; empty for 1 each."""

    density: float = setting(0.5, above=0, at_most=1)
    """Share of every tensor's changes that is kept."""

    scale: float = 1.0
    """Multiplies the sum of all changes."""

    normalise: bool = False
    """Whether the sum is divided by the weights of the models that take part."""

    rescale: bool = False
    """Whether what is kept is enlarged to the length (L1) that the tensor's changes had."""

    def __post_init__(self) -> None:
        check_weights(self.weights, self.scale)

    def parameters(self, count: int) -> dict[str, Any]:
        """Return what all of these methods take."""
        return {
            "weight": equal_weights(self.weights, count),
            "density": self.density,
            "lambda": self.scale,
            "normalize": self.normalise,
            "rescale": self.rescale,
        }


@dataclasses.dataclass(kw_only=True)
class RandomTaskVectors(TaskVectors):
    """Of the methods that leave the choice of what is kept to chance."""

    rescale: bool = True

    seed: int = II("seed")
    """Decides, tensor by tensor, what is kept."""


@dataclasses.dataclass(kw_only=True)
class DellaTaskVectors(RandomTaskVectors):
    """Of the methods that keep a change the likelier the larger it is."""

    epsilon: float = setting(0.15, at_least=0)
    """How far the likelihoods lie from the density, up and down."""

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
    """Of the methods that leave the largest changes out as well as the smallest."""

    gamma: float = setting(0.01, at_least=0, below=1)
    """Share of every tensor's changes that is left out as too large."""

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters."""
        return {**super().parameters(count), "gamma": self.gamma}
