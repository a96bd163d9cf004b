"""The component `merge_yaml`: a merge as a mergekit YAML describes it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from omegaconf import II, MISSING

from storm_exp import Cost, InputError, SettingError, StageContext, component, did_you_mean, setting
from storm_merging.layers.merged_config import check_alike, layer_origins, merged_config
from storm_merging.layers.output_tensor import OutputTensor, output_tensors
from storm_merging.layers.slices import SliceOfLayers, read_slices
from storm_merging.layers.vocabulary_spec import in_vocabulary_of, with_vocabulary
from storm_merging.mergefile.method_table import METHODS
from storm_merging.mergefile.parameters import check_parameters
from storm_merging.parents.compatibility import merge_spec, sum_cost
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.dtype import Dtype
from storm_models.families.architecture import is_quantised, parameter_count, tensor_shapes
from storm_models.families.model_config import ModelConfig, by_name, model_config

_SUMS = ("linear", "slerp", "task_arithmetic", "karcher")


@component("merger", "merge_yaml", version=1)
class MergeYaml:
    """A merge by slices of layers, with parameters by layer and by part, as mergekit's YAML has it.

    `storm-exp recipe=merge_yaml merge.file=FILE` makes these settings of a file. What is a weighted
    sum of the parents is kept as one; the rest is computed in pieces and written. Arithmetic is in
    fp32 (fp64 for fp64 weights) from the parents as they are stored, rounded once. Config,
    tokenizer and chat template are the base's, or those of the first slice's first model.
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

    tokenizer: int = setting(0, neutral=0, at_least=0)
    """The model whose tokenizer the merge has, as its number, from 1. Rows of the others'
    embeddings and heads follow its tokens; a token that one lacks has this model's row. It must be
    the base, or the first model where there is none. 0: all must have the same tokenizer."""

    dtype: Dtype | None = None
    """The format of the result; null: that of the parents."""

    seed: int = II("seed")
    """Seed of methods that draw random numbers, for each tensor combined with its name."""

    without_effect: list[str] = setting([], semantic=False)
    """What the YAML says without an effect; a plan tells it."""

    def notes(self) -> list[str]:
        """Return notices about what has no effect."""
        return self.without_effect

    def plan_spec(self, models: list[CheckpointSpec]) -> CheckpointSpec:
        """Return the spec of the merge.

        Raises SettingError for a method, slice, parameter or filter that cannot be, InputError for
        models that do not fit each other.
        """
        slices = self._slices(len(models))
        main = self._main(slices)
        for number, model in enumerate(models, start=1):
            if is_quantised(model.config):
                raise InputError(
                    f"model {number} is quantised; merge first and compress the result"
                )
        if self.tokenizer:
            converted = in_vocabulary_of(models, models[main])
            if converted is None:
                unknown = {"config": None, "parameters": None, "shapes": None}
                return dataclasses.replace(models[main], **unknown)
            models = converted
        if _whole(slices):
            order = [main, *(i for i in range(len(models)) if i != main)]
            names = [f"model {i + 1}" for i in order]
            spec = merge_spec([models[i] for i in order], names)
        else:
            spec = models[main]
            _check_tokenizers(models)
        configs = [model.config for model in models if model.config]
        if len(configs) < len(models):
            return dataclasses.replace(spec, parameters=None, shapes=None)
        config = self._config(configs, slices, main)
        shapes = [tensor_shapes(each) for each in configs]
        known = [each for each in shapes if each is not None]
        if len(known) < len(models):
            whole = _whole(slices)
            counts = {} if whole else {"parameters": None, "shapes": None}
            return dataclasses.replace(spec, config=config, **counts)
        tensors = self._tensors(slices, configs, [list(each) for each in known])
        _check_shapes(tensors, known)
        result = tensor_shapes(config) or {}
        return dataclasses.replace(
            spec, config=config, parameters=parameter_count(config), shapes=shapes_digest(result)
        )

    def cost(self, spec: CheckpointSpec, models: list[CheckpointSpec]) -> Cost | None:
        """Return the cost of the sum, or of writing the checkpoint."""
        if self.method in _SUMS and _whole(self._slices(len(models))):
            return sum_cost(spec, len(models))
        return writing_cost(spec)

    def run(self, stage: StageContext, models: list[Checkpoint]) -> Checkpoint:
        """Merge, and write `merge.json` with method and parameters."""
        from storm_merging.layers.choice import coefficients, is_measured, is_sum
        from storm_merging.layers.headers import check_headers, merged_headers
        from storm_merging.layers.one_vocabulary import InVocabulary, tell, with_rows
        from storm_merging.layers.tensor_merge import measure_products, write_merge
        from storm_merging.parents.measurements import check_finite
        from storm_merging.parents.merged_checkpoint import merge, write_summary
        from storm_models.chat.inheritance import inherit_chat

        slices = self._slices(len(models))
        main = self._main(slices)
        configs = [model.config() for model in models]
        headers = check_headers(models, configs)
        views = [InVocabulary(model, models[main]) for model in models] if self.tokenizer else []
        apart = any(not view.unchanged for view in views)
        if apart:
            size = len(views[main].rows)
            configs = [with_vocabulary(each, size) for each in configs]
            headers = [with_rows(each, size) for each in headers]
        config = self._config(configs, slices, main)
        tensors = self._tensors(slices, configs, [list(each) for each in headers])
        _check_shapes(tensors, [{name: shape for name, (_, shape) in h.items()} for h in headers])
        result = merged_headers(tensors, headers, self.dtype)
        order = [main, *(i for i in range(len(models)) if i != main)]
        parents = [models[i] for i in order]
        sums = not apart and all(
            is_sum(self.method, tensor, result[tensor.name][1])
            and all(name == tensor.name for _, name in tensor.sources)
            for tensor in tensors
        )
        if sums:
            measured = [t for t in tensors if is_measured(self.method, t, result[t.name][1])]
            products = measure_products(stage, self.method, models, measured)
            if len(measured) < len(tensors):
                check_finite(stage, models)
            rows = {}
            for tensor in tensors:
                row = [0.0] * len(models)
                found = coefficients(self.method, tensor, products.get(tensor.name))
                for (model, _), coefficient in zip(tensor.sources, found, strict=True):
                    row[order.index(model)] = coefficient
                rows[tensor.name] = row
            merge(stage, parents, rows, result)
        else:
            write_merge(stage, self.method, views if apart else models, tensors, result, self.seed)
            models[main].copy_companions(stage.directory)
            if apart:
                tell(stage, views)
            else:
                inherit_chat(stage, stage.directory, [model.directory for model in parents])
        self._write_config(stage, models[main], config)
        merged = Checkpoint(stage.directory)
        write_summary(merged, self.method, parameters=self.parameters)
        stage.metric("models", len(models), main=True)
        return merged

    def _write_config(self, stage: StageContext, main: Checkpoint, config: ModelConfig) -> None:
        if config != main.config():
            text = json.dumps(by_name(config), indent=2, sort_keys=True) + "\n"
            (stage.directory / "config.json").write_text(text, encoding="utf-8")

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

    def _check_parameters(self, slices: list[SliceOfLayers]) -> None:
        method = METHODS[self.method]
        try:
            check_parameters(self.parameters, method, "parameters", own=False)
            for number, piece in enumerate(slices):
                where = f"slices[{number}]"
                check_parameters(piece.parameters, method, f"{where}.parameters", own=False)
                for place, source in enumerate(piece.sources):
                    path = f"{where}.sources[{place}].parameters"
                    check_parameters(source.parameters, method, path, own=True)
        except InputError as error:
            raise InputError(str(error), parameters=self.parameters) from error

    def _main(self, slices: list[SliceOfLayers]) -> int:
        """Return the place of the model whose config and tokenizer are the merge's."""
        main = self.base - 1 if self.base else slices[0].sources[0].model
        if self.tokenizer not in (0, main + 1):
            raise SettingError("tokenizer", self.tokenizer, f"must be 0 or model {main + 1}")
        return main

    def _config(
        self, configs: list[ModelConfig], slices: list[SliceOfLayers], main: int
    ) -> ModelConfig:
        depths = [config["num_hidden_layers"] for config in configs]
        check_alike(configs, slices, depths)
        config = merged_config(configs, main, layer_origins(slices, depths))
        if self.dtype is None:
            return config
        stated = by_name(config)
        key = "torch_dtype" if "torch_dtype" in stated and "dtype" not in stated else "dtype"
        return model_config({**stated, key: self.dtype.value})

    def _tensors(
        self, slices: list[SliceOfLayers], configs: list[ModelConfig], names: list[list[str]]
    ) -> list[OutputTensor]:
        depths = [config["num_hidden_layers"] for config in configs]
        return output_tensors(self.method, slices, self.parameters, names, depths)


def _whole(slices: list[SliceOfLayers]) -> bool:
    """Return whether whole models are merged."""
    return len(slices) == 1 and all(
        source.start == 0 and source.end is None for source in slices[0].sources
    )


def _check_tokenizers(models: list[CheckpointSpec]) -> None:
    known = {model.tokenizer: number for number, model in enumerate(models, 1) if model.tokenizer}
    if len(known) > 1:
        first, second, *_ = sorted(known.values())
        raise InputError(
            f"model {first} and model {second} cannot be merged: their tokenizers give different "
            "ids to the same text"
        )


def _check_shapes(tensors: list[OutputTensor], shapes: list[dict[str, tuple[int, ...]]]) -> None:
    for tensor in tensors:
        found = {shapes[model][name]: (model, name) for model, name in tensor.sources}
        if len(found) > 1:
            told = ", ".join(
                f"{list(shape)} in model {model + 1}" for shape, (model, _) in found.items()
            )
            raise InputError(f"{tensor.name} has the shape {told}")
