"""The component `merge_yaml`: a merge as a mergekit YAML describes it."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from omegaconf import II, MISSING

from storm_exp import (
    Cost,
    InputError,
    SettingError,
    StageContext,
    StormError,
    component,
    did_you_mean,
    setting,
)
from storm_merging.layers.merge_request import MergeRequest
from storm_merging.layers.merged_spec import merged_spec
from storm_merging.layers.slices import SliceOfLayers, read_slices
from storm_merging.mergefile.method_table import METHODS
from storm_merging.mergefile.parameters import check_parameters
from storm_merging.parents.compatibility import sum_cost
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.dtype import Dtype

_SUMS = ("linear", "slerp", "task_arithmetic", "karcher")


@component("merger", "merge_yaml", version=2)
class MergeYaml:
    """A merge by slices of layers, with parameters by layer and by part, as mergekit's YAML has it.

    `storm-exp recipe=merge_yaml merge.file=FILE` makes these settings of a file. What is a weighted
    sum of the parents is kept as one; the rest is computed in pieces and written. Arithmetic is in
    fp32 (fp64 for fp64 weights) from the parents as they are stored, rounded once. Config,
    tokenizer and chat template are the base's, or those of the first slice's first model, unless
    `tokenizer` and `chat_template` say otherwise.
    """

    method: str = MISSING
    """mergekit's name of the method: linear, slerp, ties, dare_ties, model_stock, passthrough, …"""

    base: int = setting(0, at_least=0)
    """The base, as its number among the models, from 1; 0: none."""

    slices: list[dict[str, Any]] = setting([])
    """Slices of layers, from the bottom up: {sources: [{model: 1, layers: [0, 8], parameters: {…}},
    …], base: 1, parameters: {…}}. Models are numbers of the port, from 1; without `layers` a source
    gives all of its model's. Empty: all layers of all models."""

    parameters: dict[str, Any] = setting({})
    """Parameters by mergekit's names: a value, a list of values over the layers, or a list of
    {filter: part of a tensor's name, value: …}. Those at a source and at a slice come first."""

    tokenizer: VocabularySettings = dataclasses.field(default_factory=VocabularySettings)
    """The tokens of the merge, where those of the models differ."""

    chat_template: str = setting("", neutral="")
    """The chat template: auto (that of most models), the name of a family (chatml, llama3, …) or a
    template's text. Empty: that of the tokenizer's model."""

    dtype: Dtype | None = None
    """The format of the result; null: that of the parents."""

    seed: int = II("seed")
    """Seed of methods that draw random numbers, for each tensor combined with its name."""

    without_effect: list[str] = setting([], semantic=False)
    """What the YAML says without an effect; a plan tells it."""

    def notes(self) -> list[str]:
        """Return notices about what has no effect, in the YAML or among the settings."""
        try:
            slices = read_slices(self.slices, self.base, sys.maxsize) if self.slices else []
            own = self._check_parameters(slices) if self.method in METHODS else []
        except StormError:  # which plan_spec raises
            own = []
        return [*self.without_effect, *own]

    def plan_spec(self, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the spec of the merge.

        Raises SettingError for a method, slice, parameter or filter that cannot be, InputError for
        models that do not fit each other.
        """
        return merged_spec(self._request(len(models)), models)

    def cost(self, spec: CheckpointSpec, models: list[CheckpointSpec]) -> Cost | None:
        """Return the cost of the sum, or of writing the checkpoint."""
        if self.method in _SUMS:
            return sum_cost(spec, len(models))
        return writing_cost(spec)

    def run(self, stage: StageContext, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with method and parameters."""
        from storm_merging.layers.merged_model import make_merge

        return make_merge(stage, self._request(len(models)), models)

    def _request(self, models: int) -> MergeRequest:
        """Return what is asked for, of so many models; raises SettingError."""
        slices = self._slices(models)
        return MergeRequest(
            method=self.method,
            slices=slices,
            main=self.base - 1 if self.base else slices[0].sources[0].model,
            parameters=self.parameters,
            vocabulary=self.tokenizer,
            chat_template=self.chat_template,
            dtype=self.dtype,
            seed=self.seed,
        )

    def _slices(self, models: int) -> list[SliceOfLayers]:
        if self.method not in METHODS:
            problem = f"is no method{did_you_mean(self.method, METHODS)}"
            raise SettingError("method", self.method, problem)
        if self.base > models:
            raise SettingError("base", self.base, f"must be the number of a model, 1 to {models}")
        whole = [{"sources": [{"model": number} for number in range(1, models + 1)]}]
        slices = read_slices(self.slices or whole, self.base, models)
        self._check_parameters(slices)
        return slices

    def _check_parameters(self, slices: list[SliceOfLayers]) -> list[str]:
        """Return a notice for each parameter without effect; raises InputError."""
        levels = [("parameters", self.parameters, False)]
        for number, piece in enumerate(slices):
            levels.append((f"slices[{number}].parameters", piece.parameters, False))
            levels += [
                (f"slices[{number}].sources[{place}].parameters", source.parameters, True)
                for place, source in enumerate(piece.sources)
            ]
        notices: list[str] = []
        try:
            for where, parameters, own in levels:
                notices += check_parameters(parameters, METHODS[self.method], where, own=own)[1]
        except InputError as error:
            raise InputError(str(error), parameters=self.parameters) from error
        return notices
