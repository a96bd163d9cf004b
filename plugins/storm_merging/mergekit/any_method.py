"""The component `mergekit`: any method of mergekit, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import II, MISSING

from storm_exp import Cost, InputError, SettingError, StageContext, component, did_you_mean, setting
from storm_merging.parents.compatibility import merge_spec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec

if TYPE_CHECKING:
    from mergekit.merge_methods import MergeMethodSpec


@component("merger", "mergekit", version=1, requires=("torch", "mergekit"), extra="merge")
class Mergekit:
    """Merges with any method of mergekit, under mergekit's names and parameters.

    Config, tokenizer and dtypes are the base's, or the first model's if the method takes no base
    (a base is then ignored). Arithmetic is in fp32 (fp64 for fp64 weights), rounded once. A model
    that is identical to the base is left out.
    """

    method: str = MISSING
    """mergekit's name of the method: karcher, nuslerp, multislerp, nearswap, arcee_fusion, …"""

    parameters: dict[str, Any] = setting({})
    """Parameters by mergekit's names, each a single value or a list with one per model."""

    seed: int = II("seed")
    """Seed of methods that draw random numbers."""

    def plan_spec(
        self, models: list[CheckpointSpec], base: CheckpointSpec | None = None
    ) -> CheckpointSpec:
        """Return the spec of the base, or of the first model if the method takes no base.

        Raises SettingError for a method or parameter that mergekit does not know, InputError for
        models that do not fit each other or the method.
        """
        base = base if self._takes_base() else None
        self._check(len(models), base is not None)
        names = [f"model {i}" for i in range(1, len(models) + 1)]
        if base is None:
            return merge_spec(models, names)
        return merge_spec([base, *models], ["the base", *names])

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(
        self, stage: StageContext, models: list[Checkpoint], base: Checkpoint | None = None
    ) -> Checkpoint:
        """Merge, and write `merge.json` with method and parameters."""
        from storm_merging.mergekit.arithmetic import merge_with_mergekit

        base = base if self._takes_base() else None
        return merge_with_mergekit(stage, self.method, base, models, self.parameters, self.seed)

    def _spec(self) -> MergeMethodSpec:
        from mergekit.merge_methods import registered_methods

        known = {method.spec.name: method.spec for method in registered_methods()}
        if self.method not in known:
            near = did_you_mean(self.method, known)
            raise SettingError("method", self.method, f"unknown to mergekit{near}")
        return known[self.method]

    def _takes_base(self) -> bool:
        return self._spec().contract.base.value in ("required", "optional")

    def _check(self, count: int, with_base: bool) -> None:
        from pydantic import ValidationError

        spec = self._spec()
        parameters = {parameter.name: parameter for parameter in spec.parameters}
        for name, value in self.parameters.items():
            if name not in parameters:
                near = did_you_mean(name, parameters) or f"; {self.method} has none"
                raise SettingError("parameters", name, f"is no parameter of {self.method}{near}")
            if isinstance(value, list) and len(value) != count:
                problem = f"{len(value)} values for {count} models"
                raise SettingError(f"parameters.{name}", value, problem)
            for element in value if isinstance(value, list) else [value]:
                try:
                    parameters[name].validate(element)
                except ValidationError as error:
                    problem = error.errors()[0]["msg"]
                    raise SettingError(f"parameters.{name}", element, problem) from error
        for name, parameter in parameters.items():
            if parameter.required and name not in self.parameters:
                raise SettingError("parameters", self.parameters, f"{self.method} needs {name}")
        try:
            ids = [*(["base"] if with_base else []), *range(count)]
            spec.contract.validate_ids(ids, "base" if with_base else None)
        except ValueError as error:
            raise InputError(f"{self.method}: {error}") from error
