import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from families import LLAMA_8B, MISTRAL_7B
from storm_exp import InputError
from storm_models.families.architecture import FAMILIES, parameter_count, tensor_shapes

SMALL = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "eos_token_id": 0,
}


def sizes(family, vocabulary, hidden, inner, layers, heads, groups, **further):
    return {
        "model_type": family,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        **further,
    }


QWEN3 = sizes("qwen3", 151936, 1024, 3072, 28, 16, 8, head_dim=128, tie_word_embeddings=True)


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
        (sizes("llama", 32000, 2048, 5632, 22, 32, 4), 1_100_048_384),
        (sizes("qwen2", 152064, 3584, 18944, 28, 28, 4), 7_615_616_512),
        (QWEN3, 596_049_920),
        (sizes("gemma2", 256000, 3584, 14336, 42, 16, 8), 9_241_705_984),
        (sizes("gemma3_text", 262144, 1152, 6912, 26, 4, 1), 999_885_952),
        (sizes("phi3", 32064, 3072, 8192, 32, 32, None), 3_821_079_552),
    ],
    ids=[
        "llama-3.1-8b",
        "mistral-7b",
        "solar-10.7b",
        "minitron-width",
        "minitron-depth",
        "tinyllama-1.1b",
        "qwen2-7b",
        "qwen3-0.6b",
        "gemma-2-9b",
        "gemma-3-1b",
        "phi-3-mini",
    ],
)
def test_published_models_have_their_published_size(config, parameters):
    assert parameter_count(config) == parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_leaves_out_is_what_transformers_assumes(family):
    """Published configs lack what their class assumes: ties, head sizes, key-value heads."""
    given = {name: size for name, size in SMALL.items() if name != "num_key_value_heads"}
    given |= {"num_attention_heads": 32, "hidden_size": 64}
    config = AutoConfig.for_model(family, **given)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    assert tensor_shapes({"model_type": family, **given}) == expected


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
