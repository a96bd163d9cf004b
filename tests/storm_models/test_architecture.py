import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from storm_exp import InputError
from storm_models.architecture import FAMILIES, parameter_count, tensor_shapes

SMALL = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LLAMA_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
MISTRAL_7B = {**LLAMA_8B, "model_type": "mistral", "vocab_size": 32000}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tie_word_embeddings": True},
        {"head_dim": 32},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"num_key_value_heads": 4},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_names_and_shapes_are_those_that_transformers_builds(family, options):
    config = AutoConfig.for_model(family, **{**SMALL, **options})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    assert tensor_shapes(config.to_dict()) == expected


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (LLAMA_8B, 8_030_261_248),
        (MISTRAL_7B, 7_241_732_096),
        ({**MISTRAL_7B, "num_hidden_layers": 48}, 10_731_524_096),
        (
            {**LLAMA_8B, "hidden_size": 3072, "intermediate_size": 9216, "head_dim": 128},
            4_512_746_496,
        ),
        ({**LLAMA_8B, "num_hidden_layers": 16}, 4_540_469_248),
    ],
    ids=["llama-3.1-8b", "mistral-7b", "solar-10.7b", "minitron-width", "minitron-depth"],
)
def test_published_models_have_their_published_size(config, parameters):
    assert parameter_count(config) == parameters


def test_an_unknown_family_is_unknown_and_not_guessed():
    assert tensor_shapes({"model_type": "mamba"}) is None
    assert parameter_count({}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": None}, "vocab_size=None"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0"),
        ({"num_key_value_heads": 5}, "not divisible by num_key_value_heads=5"),
        ({"hidden_size": 4097}, "hidden_size=4097 is not divisible by 32"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        tensor_shapes({**LLAMA_8B, **change})
