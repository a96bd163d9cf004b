"""Which layers a model has: what the merge cannot know is refused."""

from __future__ import annotations

import pytest

from storm_exp import InputError
from storm_merging.layers.merged_config import layer_counts
from storm_merging.layers.output_tensor import output_tensors
from storm_merging.layers.slices import read_slices

SLICES = [{"sources": [{"model": 1}]}]


def tensors(names, depth):
    """The tensors of one model's passthrough."""
    return output_tensors("passthrough", read_slices(SLICES, 0, 1), {}, [names], [depth])


def test_a_config_that_names_its_depth_otherwise_is_refused():
    assert layer_counts([{"model_type": "llama", "num_hidden_layers": 2}]) == [2]
    with pytest.raises(InputError, match=r"model 2: config.json states no num_hidden_layers"):
        layer_counts([{"model_type": "llama", "num_hidden_layers": 2}, {"model_type": "bloom"}])


@pytest.mark.parametrize(
    "names",
    [
        ["transformer.h.0.mlp.weight", "transformer.h.1.mlp.weight"],
        ["model.layers.0.mlp.weight"],
        ["model.layers.0.mlp.weight", "model.layers.2.mlp.weight"],
    ],
)
def test_tensors_that_are_not_named_by_layer_are_refused(names):
    with pytest.raises(InputError, match=r"model 1: config.json states 2 layers, and its tensors"):
        tensors(names, 2)


def test_layers_may_be_below_any_name():
    names = [f"gpt_neox.layers.{layer}.mlp.weight" for layer in (1, 0)]
    assert [tensor.name for tensor in tensors(names, 2)] == sorted(names)
