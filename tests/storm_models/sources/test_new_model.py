import dataclasses
import json
import math
import shutil

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.activations import ACT2FN
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import FAMILIES, parameter_count
from storm_models.families.memory import checkpoint_bytes
from storm_models.sources.new_config import ACTIVATIONS, known_keys
from storm_models.sources.new_model import NewModel
from storm_models.sources.random_init import draw_weights
from storm_models.testing import make_checkpoint

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
}
WITH_ANY_TOKENIZER = [family for family in FAMILIES if family != "qwen2"]


def new_model(family="llama", seed=0, further=None, **settings):
    sizes = {"model_type": family, **SIZES, **(further or {})}
    return NewModel(config=sizes, seed=seed, **settings)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("source") / "model")


@pytest.mark.parametrize("family", WITH_ANY_TOKENIZER)
def test_a_new_model_is_what_was_forecast_and_stock_transformers_loads_it(family, source, tmp_path):
    maker = new_model(family)
    made = maker.run(make_stage(tmp_path), source)
    spec, facts = maker.plan_spec(source.spec()), made.spec()
    assert (facts.parameters, facts.shapes) == (spec.parameters, spec.shapes)
    assert (facts.tokenizer, facts.has_chat_template) == (source.spec().tokenizer, True)
    loaded = AutoModelForCausalLM.from_pretrained(made.directory)
    assert loaded.config.vocab_size == len(AutoTokenizer.from_pretrained(made.directory))
    assert loaded.config.eos_token_id == source.config()["eos_token_id"]


def test_a_tokenizer_that_transformers_reads_otherwise_beside_the_family_is_refused(
    source, tmp_path
):
    with pytest.raises(InputError, match="beside a qwen2 model"):
        new_model("qwen2").run(make_stage(tmp_path), source)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(source, tmp_path):
    names = ("one", "again", "other")
    made = {
        name: new_model(seed=name == "other").run(make_stage(tmp_path / name), source)
        for name in names
    }
    weights = {n: (m.directory / "model.safetensors").read_bytes() for n, m in made.items()}
    assert weights["one"] == weights["again"] != weights["other"]


def test_weights_are_those_of_transformers_but_for_the_two_gains(source, tmp_path):
    maker = new_model(seed=7, embedding_gain=8.0)
    made = dict(maker.run(make_stage(tmp_path), source).tensors())
    torch.manual_seed(7)
    stock = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**maker.full_config(source.config()))
    )
    gains = {"embed_tokens.weight": 8.0}
    gains |= dict.fromkeys(("o_proj.weight", "down_proj.weight"), 1 / math.sqrt(6))
    for name, weight in stock.state_dict().items():
        gain = next((gain for end, gain in gains.items() if name.endswith(end)), 1.0)
        torch.testing.assert_close(made[name], weight * gain)


def test_weights_are_stored_in_the_dtype_that_was_asked_for(source, tmp_path):
    made = new_model(dtype="bfloat16").run(make_stage(tmp_path), source)
    assert {dtype for dtype, _ in made.headers().values()} == {"BF16"}
    assert made.load().dtype == torch.bfloat16


def test_a_larger_vocabulary_than_the_tokenizers_can_be_asked_for(source):
    larger = new_model(further={"vocab_size": 1024}).plan_spec(source.spec())
    assert larger.config["vocab_size"] == 1024
    with pytest.raises(SettingError, match="the tokenizer's model has"):
        new_model(further={"vocab_size": 100}).plan_spec(source.spec())


def test_without_sizes_it_has_those_of_the_tokenizers_model(source, tmp_path):
    maker = NewModel(seed=0)
    made = maker.run(make_stage(tmp_path), source)
    assert maker.plan_spec(source.spec()).shapes == made.spec().shapes == source.spec().shapes
    assert maker.plan_spec(CheckpointSpec()).parameters is None


def test_without_a_known_vocabulary_nothing_is_foretold():
    assert new_model().plan_spec(CheckpointSpec()).parameters is None
    assert new_model(further={"vocab_size": 512}).plan_spec(CheckpointSpec()).parameters


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: new_model("lama"), "config.model_type"),
        (lambda: new_model(embedding_gain=0.0), "embedding_gain"),
        (lambda: new_model(embedding_gain=float("nan")), "embedding_gain"),
        (lambda: new_model(residual_gain=-1.0), "residual_gain"),
        (lambda: new_model(dtype="float8"), "dtype"),
    ],
)
def test_settings_that_cannot_work_are_named(make, setting):
    with pytest.raises(SettingError) as error:
        make()
    assert error.value.setting == setting


@pytest.mark.parametrize(
    ("family", "change", "setting"),
    [
        ("llama", {"hidden_size": 130}, "config.hidden_size"),
        ("gemma2", {"hidden_size": 130}, "config.hidden_size"),
        ("qwen2", {"hidden_size": 130, "head_dim": None}, "config.hidden_size"),
        ("llama", {"hidden_size": 60, "head_dim": None}, "config.hidden_size"),
        ("llama", {"head_dim": 33}, "config.head_dim"),
        ("qwen3", {"head_dim": None}, "config.head_dim"),
        ("llama", {"hidden_act": "foo"}, "config.hidden_act"),
        ("gemma2", {"hidden_activation": "prelu"}, "config.hidden_activation"),
        ("llama", {"vocab_size": None}, "config.vocab_size"),
        ("llama", {"intermediate_size": "96"}, "config.intermediate_size"),
        ("llama", {"num_key_value_heads": 3}, "config.num_key_value_heads"),
        ("mistral", {"num_key_value_heads": None}, "config.num_key_value_heads"),
        ("llama", {"dtype": "bfloat16"}, "config.dtype"),
        ("llama", {"quantization_config": {}}, "config.quantization_config"),
        ("mistral", {"attention_bias": True}, "config.attention_bias"),
    ],
)
def test_what_transformers_refuses_or_passes_over_is_refused_at_plan_time(family, change, setting):
    with pytest.raises(SettingError) as error:
        new_model(family, further=change)
    assert error.value.setting == setting


def test_a_size_that_is_missing_is_named():
    with pytest.raises(SettingError, match="intermediate_size=None: must be a positive"):
        NewModel(config={"model_type": "llama", "hidden_size": 64}, seed=0)


def test_an_unknown_key_names_the_nearest_known_one():
    with pytest.raises(SettingError, match="did you mean 'intermediate_size'"):
        new_model(further={"intermediate_sise": 300})
    with pytest.raises(SettingError, match="did you mean 'hidden_activation'"):
        new_model("gemma2", further={"hidden_act": "silu"})


@pytest.mark.parametrize("family", FAMILIES)
def test_known_keys_are_those_of_transformers_class_and_its_earlier_names(family):
    fields = {field.name for field in dataclasses.fields(CONFIG_MAPPING[family])} - {"dtype"}
    earlier = {"rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern"}
    earlier |= {"model_type", "head_dim", "partial_rotary_factor"}
    known = set(known_keys(family))
    assert fields <= known <= fields | earlier


def test_known_activations_are_those_of_transformers_without_weights():
    plain = {name for name in ACT2FN if not list(ACT2FN[name].parameters())}
    assert set(ACTIVATIONS) == plain


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    heads=st.integers(1, 5),
    groups=st.sampled_from([None, 1, 2, 3]),
    hidden=st.integers(2, 24),
    size=st.sampled_from([None, 2, 3, 6]),
)
def test_what_is_planned_is_built_and_computes(family, heads, groups, hidden, size):
    sizes = {"num_attention_heads": heads, "hidden_size": hidden, "intermediate_size": 8}
    sizes |= {"vocab_size": 16, "num_hidden_layers": 2, "pad_token_id": 0}
    sizes |= {"num_key_value_heads": groups} if groups else {}
    sizes |= {"head_dim": size} if size else {}
    try:
        config = NewModel(config={"model_type": family, **sizes}, seed=0).full_config({})
    except SettingError:
        assume(False)
    network = draw_weights(config, seed=0).eval()
    assert bool(network(torch.arange(10)[None]).logits.isfinite().all())
    assert sum(p.numel() for p in network.parameters()) == parameter_count(config)


def test_a_new_model_beside_a_quantised_models_tokenizer_is_not_quantised(source, tmp_path):
    quantised = tmp_path / "quantised"
    shutil.copytree(source.directory, quantised)
    method = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    config = {**source.config(), "quantization_config": method}
    (quantised / "config.json").write_text(json.dumps(config))
    maker, given = NewModel(seed=0), Checkpoint(quantised)
    made = maker.run(make_stage(tmp_path), given)
    spec = maker.plan_spec(CheckpointSpec(config=config)).config
    for found in (made.config(), spec):
        assert "quantization_config" not in found
        assert found["dtype"] == "float32"
    assert made.load().dtype == torch.float32


def test_the_forecast_counts_the_bytes_that_are_written(source, tmp_path):
    for dtype, width in (("float32", 4), ("bfloat16", 2)):
        spec = new_model(dtype=dtype).plan_spec(source.spec())
        assert checkpoint_bytes(spec.config) == width * spec.parameters
        made = new_model(dtype=dtype).run(make_stage(tmp_path / dtype), source)
        assert made.config()["dtype"] == spec.config["dtype"]
