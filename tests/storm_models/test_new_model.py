import math

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint import CheckpointForecast
from storm_models.new_model import NewModel
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
FAMILIES = ["llama", "mistral", "qwen3", "gemma2", "gemma3_text", "phi3"]


def new_model(family="llama", seed=0, further=None, **settings):
    sizes = {"model_type": family, **SIZES, **(further or {})}
    return NewModel(config=sizes, seed=seed, **settings)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("source") / "model")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_model_is_what_was_forecast_and_stock_transformers_loads_it(family, source, tmp_path):
    maker = new_model(family)
    made = maker.run(make_stage(tmp_path), source)
    forecast, facts = maker.forecast(source.facts()), made.facts()
    assert (facts.parameters, facts.shapes) == (forecast.parameters, forecast.shapes)
    assert (facts.tokenizer, facts.has_chat_template) == (source.facts().tokenizer, True)
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
    larger = new_model(further={"vocab_size": 1024}).forecast(source.facts())
    assert larger.config["vocab_size"] == 1024
    with pytest.raises(SettingError, match="the tokenizer's model has"):
        new_model(further={"vocab_size": 100}).forecast(source.facts())


def test_without_sizes_it_has_those_of_the_tokenizers_model(source, tmp_path):
    maker = NewModel(seed=0)
    made = maker.run(make_stage(tmp_path), source)
    assert maker.forecast(source.facts()).shapes == made.facts().shapes == source.facts().shapes
    assert maker.forecast(CheckpointForecast()).parameters is None


def test_without_a_known_vocabulary_nothing_is_foretold():
    assert new_model().forecast(CheckpointForecast()).parameters is None
    assert new_model(further={"vocab_size": 512}).forecast(CheckpointForecast()).parameters


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: new_model("lama"), "config.model_type"),
        (lambda: new_model(embedding_gain=0.0), "embedding_gain"),
        (lambda: new_model(residual_gain=-1.0), "residual_gain"),
        (lambda: new_model(dtype="float8"), "dtype"),
    ],
)
def test_settings_that_cannot_work_are_named(make, setting):
    with pytest.raises(SettingError) as error:
        make()
    assert error.value.setting == setting


def test_sizes_that_contradict_each_other_are_refused_at_plan_time(source):
    with pytest.raises(InputError, match="num_key_value_heads=3"):
        new_model(further={"num_key_value_heads": 3}).forecast(source.facts())
