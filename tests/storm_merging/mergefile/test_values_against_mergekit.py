"""Made-up merges: which layers meet, and every parameter's value, against mergekit's planner."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.merge import _model_out_config
from mergekit.options import MergeOptions
from mergekit.plan import MergePlanner
from omegaconf import OmegaConf

from storm_merging.layers.output_tensor import OutputTensor
from storm_merging.mergefile.merge_file import read_merge_file
from storm_merging.mergefile.method_table import METHODS, Base, Parameter
from storm_merging.mergefile.recipe import merger_settings
from storm_merging.methods.merge_yaml import MergeYaml
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.architecture import HEAD

FILTERS = ("mlp", "self_attn", "layers.0.", "layers.1.", "norm", "embed_tokens", "q_proj.weight")
LAYERS = 4


class Author:
    """Writes merges as they come."""

    def __init__(self, seed: int, models: Path) -> None:
        self.chance, self.models = random.Random(seed), models

    def write(self, method: str) -> dict[str, Any]:
        """Return the contents of a file."""
        kind, names = METHODS[method], ["base", "one", "two"]
        self.chance.shuffle(names)
        with_base = kind.base is Base.REQUIRED or (kind.base is Base.OPTIONAL and self.coin())
        count = min(kind.most or 2, 2)
        models = [str(self.models / name) for name in names[: count + with_base]]
        base = {"base_model": models[0]} if with_base else {}
        shared = {name: self.setting(each) for name, each in kind.parameters.items()}
        pieces = [self.piece(kind.own, models) for _ in range(self.chance.choice([1, 2, 3]))]
        own = [{"model": model, **self.parameters(kind.own)} for model in models]
        body = {"slices": pieces} if self.coin() else {"models": own}
        return {"merge_method": method, **base, **body, "parameters": shared, "dtype": "float32"}

    def piece(self, own: dict[str, Parameter], models: list[str]) -> dict[str, Any]:
        depth = self.chance.choice([2, 3])
        sources = []
        for model in self.chance.sample(models, len(models)):
            first = self.chance.randint(0, LAYERS - depth)
            layers = {"layer_range": [first, first + depth]}
            sources.append({"model": model, **layers, **self.parameters(own)})
        return {"sources": sources, **self.parameters(own)}

    def parameters(self, own: dict[str, Parameter]) -> dict[str, Any]:
        given = {name: self.setting(each) for name, each in own.items() if self.coin()}
        return {"parameters": given} if given else {}

    def setting(self, parameter: Parameter) -> Any:
        if self.coin():
            return self.gradient(parameter)
        part = {"filter": self.chance.choice(FILTERS), "value": self.gradient(parameter)}
        return [part, {"value": self.gradient(parameter)}]

    def gradient(self, parameter: Parameter) -> Any:
        if parameter.kind is int or self.coin():
            return self.value(parameter)
        return [self.value(parameter) for _ in range(self.chance.choice([1, 2, 3, 5]))]

    def value(self, parameter: Parameter) -> Any:
        if parameter.kind is bool:
            return self.coin()
        value = self.chance.randint(2, 8) / 10
        return 3 if parameter.kind is int else self.chance.choice([value, f"{value:e}"])

    def coin(self) -> bool:
        return self.chance.random() < 0.5


def ours(file: Path) -> tuple[list[str], dict[str, OutputTensor]]:
    """Return the models' names, and the tensors of a file's merge."""
    merge = read_merge_file(file)
    models = merge.models()
    settings = merger_settings(merge, {model: i for i, model in enumerate(models, start=1)})
    merger = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(MergeYaml), {**settings, "seed": 0})
    )
    assert isinstance(merger, MergeYaml)
    places = [Path(model.model.path) for model in models]
    checkpoints = [Checkpoint(place) for place in places]
    request = merger._request(len(models))
    names = [list(each.headers()) for each in checkpoints]
    tensors = request.tensors([each.config() for each in checkpoints], names)
    return [place.name for place in places], {tensor.name: tensor for tensor in tensors}


def theirs(file: Path) -> list[Any]:
    """Return (weight, task) of every tensor that mergekit plans."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    config, options = MergeConfiguration.model_validate(content), MergeOptions()
    architecture = get_architecture_info(config, options)
    planner = MergePlanner(config, architecture, options, _model_out_config(config, architecture))
    planner._plan()
    return planner._tensors


@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith("della")])
def test_layers_and_values_are_mergekits(method, family, tmp_path):
    seed = list(METHODS).index(method)
    file = tmp_path / "merge.yaml"
    for draw, kind in enumerate(("llama", "qwen2")):
        content = Author(100 * seed + draw, family(kind)).write(method)
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        names, tensors = ours(file)
        planned = theirs(file)
        assert {weight.name for weight, _ in planned} == tensors.keys()
        for weight, task in planned:
            tensor = tensors[weight.name]
            read = {Path(str(m)).name: w.name for m, w in task.gather_tensors.weight_info.items()}
            if weight.name != HEAD:
                assert {names[place]: name for place, name in tensor.sources} == read
            for name in METHODS[method].shared:
                assert tensor.shared[name] == pytest.approx(task.parameters[name]), name
            for model, own in zip(task.model_order, tensor.own, strict=True):
                for name, value in task.input_parameters[model].items():
                    if name in METHODS[method].own:
                        assert own[name] == pytest.approx(value), (weight.name, name)
