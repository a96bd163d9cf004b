"""Sums of checkpoints as models, without files of weights."""

import json

import pytest
import torch

from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.weights import SumWeights, write_weights
from storm_models.testing import make_checkpoint


def summed(folder, parents, headers):
    """A sum whose config names no dtype, and the same in a file."""
    coefficients = {name: [0.25, 0.75] for name in headers}
    for name in ("sum", "file"):
        (folder / name).mkdir()
        parents[0].copy_companions(folder / name)
        config = {n: value for n, value in parents[0].config().items() if n != "dtype"}
        (folder / name / "config.json").write_text(json.dumps(config))
    LinearCombination(["a", "b"], headers, coefficients).write(folder / "sum")
    kept = Checkpoint(folder / "sum")
    kept._known_parents = parents
    with kept.open_weights() as weights:
        assert isinstance(weights, SumWeights)
        write_weights(weights, folder / "file" / "model.safetensors", lambda: None)
    return kept, Checkpoint(folder / "file")


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_sum_whose_config_names_no_dtype_loads_as_its_files_do(tmp_path, dtype, mixed):
    parents = [
        make_checkpoint(tmp_path / name, seed=seed, dtype=dtype) for seed, name in enumerate("ab")
    ]
    headers = dict(parents[0].headers())
    if mixed:
        headers["model.norm.weight"] = ("F32", headers["model.norm.weight"][1])
    kept, written = summed(tmp_path, parents, headers)
    model, expected = kept.load(), written.load()
    assert model.dtype == expected.dtype == getattr(torch, dtype)
    assert model.config.dtype == expected.config.dtype
    state = expected.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
