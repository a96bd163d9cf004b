"""The config of a merge, and checks that its sources' layers are alike."""

from __future__ import annotations

from collections.abc import Sequence

from storm_exp import InputError
from storm_merging.layers.slices import SliceOfLayers
from storm_merging.parents.weight_semantics import weight_semantics
from storm_models.checkpoint.depth import PER_LAYER_LISTS, rearranged_config
from storm_models.families.attention import layer_types
from storm_models.families.model_config import ModelConfig, by_name, model_config

_DEPTH = "num_hidden_layers"


def layer_counts(configs: Sequence[ModelConfig]) -> list[int]:
    """Return the depths of models; raises InputError for a config that does not state it."""
    for number, config in enumerate(configs, start=1):
        if type(config.get("num_hidden_layers")) is not int:
            raise InputError(
                f"model {number}: config.json states no {_DEPTH}, and where the layers of the "
                f"family {config.get('model_type')!r} are is not known here"
            )
    return [config["num_hidden_layers"] for config in configs]


def layer_origins(slices: Sequence[SliceOfLayers], depths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (model, layer) for every layer of the merge: the base's, or the first source's."""
    origins = []
    for piece in slices:
        models = [source.model for source in piece.sources]
        source = piece.sources[models.index(piece.base) if piece.base in models else 0]
        origins += [(source.model, source.start + i) for i in range(piece.layers(depths))]
    return origins


def merged_config(
    configs: Sequence[ModelConfig], main: int, origins: Sequence[tuple[int, int]]
) -> ModelConfig:
    """Return the config of a model with these layers; all else is that of the model `main`.

    Lists with an entry per layer follow the layers, of whichever model they are.
    """
    if list(origins) == [(main, layer) for layer in range(configs[main]["num_hidden_layers"])]:
        return configs[main]
    used = list(dict.fromkeys(model for model, _ in origins))
    first, depth = {}, 0
    for model in used:
        first[model] = depth
        depth += configs[model]["num_hidden_layers"]
    together = {**by_name(configs[main]), _DEPTH: depth}
    kinds = [layer_types(configs[model]) for model in used]
    lists = {"layer_types": kinds} | {
        name: [by_name(configs[model]).get(name) for model in used]
        for name in PER_LAYER_LISTS
        if name != "layer_types"
    }
    for name, entries in lists.items():
        if all(isinstance(each, list) for each in entries):
            together[name] = [kind for each in entries for kind in each or ()]
    return rearranged_config(
        model_config(together), [first[model] + layer for model, layer in origins]
    )


def check_alike(
    configs: Sequence[ModelConfig], slices: Sequence[SliceOfLayers], depths: Sequence[int]
) -> None:
    """Raise InputError for models that use their weights in different ways, or layers that do."""
    meanings = [_of_any_depth(config) for config in configs]
    used = list(dict.fromkeys(source.model for piece in slices for source in piece.sources))
    first, *others = used
    for other in others:
        for name, value in meanings[first].items():
            theirs = meanings[other].get(name, value)
            if theirs != value:
                raise InputError(
                    f"model {first + 1} and model {other + 1} cannot be merged: {name} is {value} "
                    f"in one, {theirs} in the other"
                )
    kinds = [layer_types(config) for config in configs]
    for number, piece in enumerate(slices):
        for index in range(piece.layers(depths)):
            found = [
                (
                    source.model + 1,
                    source.start + index,
                    (kinds[source.model] or [])[source.start + index],
                )
                for source in piece.sources
                if kinds[source.model]
            ]
            if len({kind for _, _, kind in found}) > 1:
                told = ", ".join(
                    f"layer {layer} of model {m} is {kind}" for m, layer, kind in found
                )
                raise InputError(f"slices[{number}]: {told}; only layers of one kind are merged")


def _of_any_depth(config: ModelConfig) -> dict[str, object]:
    return {
        name: value
        for name, value in weight_semantics(config).items()
        if name != _DEPTH and "[" not in name
    }
