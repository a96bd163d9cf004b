"""Kinds and windows of layers, against the modules that transformers builds."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from families import SIZES
from storm_exp import InputError
from storm_inference.label_scorer import check_attention
from storm_models.families.attention import attention_windows, layer_types, longest_prompt

SLIDES = {"use_sliding_window": True, "max_window_layers": 3}
HALF = ["full_attention", "sliding_attention"] * 4
CASES = [
    ("llama", {}),
    ("llama", {"sliding_window": 16}),
    ("mistral", {}),
    ("mistral", {"sliding_window": 16}),
    ("mistral", {"sliding_window": None}),
    ("phi3", {}),
    ("phi3", {"sliding_window": 16}),
    ("qwen2", {}),
    ("qwen2", {"sliding_window": 16}),
    ("qwen2", SLIDES),
    ("qwen2", {**SLIDES, "sliding_window": 16}),
    ("qwen2", {**SLIDES, "sliding_window": None}),
    ("qwen2", {"use_sliding_window": True}),
    ("qwen2", {"use_sliding_window": True, "layer_types": HALF}),
    ("qwen3", {**SLIDES, "sliding_window": 16, "max_window_layers": 5}),
    ("gemma2", {}),
    ("gemma2", {"sliding_window": 16, "layer_types": HALF}),
    ("gemma3_text", {}),
    ("gemma3_text", {"sliding_window": 16, "sliding_window_pattern": 3}),
]


@pytest.mark.parametrize(("family", "further"), CASES)
def test_windows_are_those_of_the_layers_that_transformers_builds(family, further):
    config = AutoConfig.for_model(family, **SIZES, **further)
    with torch.device("meta"):
        layers = AutoModelForCausalLM.from_config(config).model.layers
    every = config.sliding_window if family in ("mistral", "phi3") else None
    expected = [getattr(layer.self_attn, "sliding_window", every) for layer in layers]
    for said in ({"model_type": family, **SIZES, **further}, config.to_dict()):
        assert attention_windows(said) == expected


@pytest.mark.parametrize(("family", "further"), CASES)
def test_kinds_of_layers_that_a_config_implies_are_those_of_transformers(family, further):
    config = AutoConfig.for_model(family, **SIZES, **further)
    said = {"model_type": family, **SIZES, **further}
    assert layer_types(said) == getattr(config, "layer_types", None)


def test_a_first_sliding_layer_of_null_is_the_familys():
    config = {"model_type": "qwen2", **SIZES, "use_sliding_window": True, "num_hidden_layers": 29}
    expected = [None] * 28 + [4096]
    assert attention_windows({**config, "max_window_layers": None}) == expected


LONGROPE = {
    "original_max_position_embeddings": 32,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 32,
    },
}


@pytest.mark.parametrize(
    ("family", "further"),
    [*CASES, ("starcoder2", {"sliding_window": 16}), ("phi3", LONGROPE)],
)
def test_the_longest_prompt_is_the_longest_that_the_judge_takes(family, further):
    config = AutoConfig.for_model(family, **{**SIZES, "max_position_embeddings": 64}, **further)
    limit, reason = longest_prompt(config.to_dict())
    model = SimpleNamespace(config=config)
    check_attention(model, limit)
    with pytest.raises(InputError):
        check_attention(model, limit + 1)
    assert str(limit) in reason
