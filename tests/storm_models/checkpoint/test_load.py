"""Sums of checkpoints as models, without files of weights."""

import json

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.weight_file import write_weights
from storm_models.checkpoint.weights import SumWeights
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


def test_scores_of_attention_are_capped_as_the_config_says(tmp_path):
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=1,
        attn_logit_softcapping=0.5,
        initializer_range=0.5,  # scores far above the cap
    )
    torch.manual_seed(0)
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    input_ids = torch.arange(12)[None]
    logits = {}
    with torch.no_grad():
        logits["loaded"] = Checkpoint(tmp_path).load()(input_ids).logits
        for implementation in ("eager", "sdpa"):
            model = Gemma2ForCausalLM.from_pretrained(tmp_path, attn_implementation=implementation)
            logits[implementation] = model(input_ids).logits
    assert torch.equal(logits["loaded"], logits["eager"])
    assert (logits["sdpa"] - logits["eager"]).abs().max() > 0.01, "sdpa caps too: load with it"
