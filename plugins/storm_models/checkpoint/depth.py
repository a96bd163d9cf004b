"""A model's config and tensor names after layers were removed, repeated or reordered."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from storm_exp import InputError
from storm_models.checkpoint.spec import CheckpointSpec, shapes_digest
from storm_models.families.architecture import parameter_count, tensor_shapes
from storm_models.families.attention import layer_types
from storm_models.families.model_config import ModelConfig, by_name, model_config
from storm_models.families.support import check_changeable
from storm_models.folder.files import SURGERY_FILE
from storm_models.folder.json_file import read_json

PER_LAYER_LISTS = ("layer_types", "no_rope_layers", "mlp_layer_types", "layers_block_type")
"""Keys of config.json that hold an entry for every layer."""

_LAYER = re.compile(r"(model\.layers\.)(\d+)(\..+)")


def depth_spec(model: CheckpointSpec, choose: Callable[[int], Sequence[int]]) -> CheckpointSpec:
    """Return the spec of a model whose layer i is the layer `choose(layers)[i]` of `model`.

    Raises InputError for a model of an unknown family, or a quantised one.
    """
    if model.config is None:
        return dataclasses.replace(model, parameters=None, shapes=None)
    check_changeable(model.config)
    config = rearranged_config(model.config, choose(model.config["num_hidden_layers"]))
    shapes = tensor_shapes(config)
    assert shapes is not None
    return dataclasses.replace(
        model, config=config, parameters=parameter_count(config), shapes=shapes_digest(shapes)
    )


def rearranged_config(config: ModelConfig, sources: Sequence[int]) -> ModelConfig:
    """Return the config for layers taken from `sources`, counted from 0, repeats allowed.

    Lists with an entry per layer are rearranged too. Where the family has kinds of layers that the
    config only implies (by a period, a first sliding layer or the class's default), they are
    written out, so that each layer keeps its kind. Raises InputError for lists whose length is not
    the number of layers.
    """
    depth = config["num_hidden_layers"]
    assert sources and all(0 <= source < depth for source in sources), sources
    stated = by_name(config)
    result = {**stated, "num_hidden_layers": len(sources)}
    kinds = layer_types(config)
    lists = {name: stated[name] for name in PER_LAYER_LISTS if isinstance(stated.get(name), list)}
    if kinds is not None:
        lists["layer_types"] = kinds
        result.pop("sliding_window_pattern", None)
        result.pop("_sliding_window_pattern", None)
    for name, entries in lists.items():
        if len(entries) != depth:
            raise InputError(f"config.json: {name} has {len(entries)} entries for {depth} layers")
        result[name] = [entries[source] for source in sources]
    below = config.get("max_window_layers")
    if below is not None:
        result["max_window_layers"] = sum(source < below for source in sources)
    return model_config(result)


def tensor_sources(config: ModelConfig, sources: Sequence[int]) -> dict[str, str]:
    """Return {tensor name: its name in the source} for a config from `rearranged_config`."""
    return {name: _source_name(name, sources) for name in tensor_shapes(config) or {}}


def new_layers(sources: Sequence[int]) -> list[int]:
    """Return the indices of layers whose source occurs earlier: the added copies."""
    return [index for index, source in enumerate(sources) if source in sources[:index]]


def write_record(directory: Path, sources: Sequence[int]) -> None:
    """Write `surgery.json`, the record of the changed depth, beside the weights."""
    record = {"source_layers": list(sources), "new_layers": new_layers(sources)}
    (directory / SURGERY_FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")


def read_new_layers(directory: Path) -> list[int] | None:
    """Return the indices of the layers that surgery added, None where there was no surgery."""
    if not (directory / SURGERY_FILE).is_file():
        return None
    return [int(index) for index in read_json(directory / SURGERY_FILE).get("new_layers", [])]


def _source_name(name: str, sources: Sequence[int]) -> str:
    match = _LAYER.fullmatch(name)
    return f"{match[1]}{sources[int(match[2])]}{match[3]}" if match else name
