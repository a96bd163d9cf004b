"""Twins: the properties that a small random model shares with the model that it replaces."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from presets import PRESETS, component, settings
from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.sources.hub import Hub
from storm_models.sources.new_model import NewModel
from storm_models.sources.path import Path as PathComponent
from storm_models.sources.path import inspect_checkpoint
from storm_models.testing import make_checkpoint
from storm_models.twins.model_twin import ModelTwin
from storm_models.twins.originals import KNOWN, original_of
from storm_models.twins.shrinking import scaled, shrink


def presets():
    """Return {repository: expected config} of every preset that comes from the hub."""
    found = [settings(name) for name in PRESETS if component(name) == "hub"]
    return {each.repo: OmegaConf.to_container(each.expected_config) for each in found}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Return {repository: its twin} for every preset."""
    return {
        repo: Hub(repo=repo, expected_config=config)
        .rehearsal()
        .run(make_stage(tmp_path_factory.mktemp("twin")))
        for repo, config in presets().items()
    }


def test_every_preset_from_the_hub_is_known_by_name():
    assert len(presets()) >= 9
    assert set(presets()) <= set(KNOWN)


def test_a_twin_is_what_its_component_forecasts_and_loads_as_a_checkpoint(twins):
    for repo, twin in twins.items():
        facts = inspect_checkpoint(twin)
        said = Hub(repo=repo, expected_config=presets()[repo]).rehearsal().plan_spec()
        assert said.shapes == facts.shapes, repo
        assert said.has_chat_template == facts.has_chat_template, repo
        assert facts.parameters < 10_000_000
        assert len(twin.weight_files()) > 1, "large models come in several files"


def test_a_twin_keeps_depth_groups_ties_windows_and_padding(twins):
    for repo, twin in twins.items():
        real, config = presets()[repo], twin.config()
        for name in ("model_type", "num_hidden_layers", "max_position_embeddings"):
            assert config[name] == real[name]
        for name in ("tie_word_embeddings", "sliding_window"):
            assert config.get(name) == real.get(name, config.get(name))
        groups = [
            each["num_attention_heads"] / each["num_key_value_heads"] for each in (real, config)
        ]
        assert groups[0] == groups[1]
        assert config["hidden_size"] <= 128
        ratios = [each["intermediate_size"] / each["hidden_size"] for each in (real, config)]
        assert ratios[0] == pytest.approx(ratios[1], rel=0.05)
        tokens = len(twin.tokenizer())
        padded = original_of(repo, real)[0].padded
        assert config["vocab_size"] > tokens if padded else config["vocab_size"] == tokens


def test_a_twins_tokenizer_reads_back_what_it_wrote(twins):
    text = "Hello, world! 123 + 4 = 127.\n  def f(x): é 漢字"
    for repo, twin in twins.items():
        tokenizer = twin.tokenizer()
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text, repo
        adds = repo.startswith(("meta-llama", "arcee", "google", "mistralai", "TinyLlama"))
        assert (ids[0] == tokenizer.bos_token_id) == adds, repo


def test_base_models_have_no_template_and_templates_refuse_what_their_family_refuses(twins):
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for repo, twin in twins.items():
        tokenizer = twin.tokenizer()
        if repo in ("meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.1"):
            assert not twin.has_chat_template()
            continue
        if repo.startswith(("google", "mistralai")):
            with pytest.raises(Exception, match=r"this model knows|take turns"):
                tokenizer.apply_chat_template(system, tokenize=False)
            continue
        text = tokenizer.apply_chat_template(system, tokenize=False, add_generation_prompt=True)
        assert "assistant" in text


@pytest.mark.parametrize(("scalar", "expected"), [(256, 1.0), (144, 144 / 256)])
def test_a_twin_scales_its_queries_as_its_original(scalar, expected):
    config = {"model_type": "gemma2", "hidden_size": 3584, "num_attention_heads": 16}
    twin = shrink({**config, "head_dim": 256, "query_pre_attn_scalar": scalar})
    assert twin["query_pre_attn_scalar"] == pytest.approx(expected * twin["head_dim"], abs=0.5)


def test_the_twin_of_a_folder_has_the_folders_tokenizer(tmp_path):
    real = make_checkpoint(tmp_path / "real", "qwen2", hidden_size=640, head_dim=160)
    twin = PathComponent(path=str(real.directory)).rehearsal()
    assert isinstance(twin, PathComponent), "a small model is taken as it is"
    large = make_checkpoint(
        tmp_path / "large", "llama", hidden_size=512, head_dim=128, intermediate_size=11_000
    )
    twin = PathComponent(path=str(large.directory)).rehearsal()
    assert isinstance(twin, ModelTwin)
    made = twin.run(make_stage(tmp_path))
    assert made.tokenizer_digest() == large.tokenizer_digest()
    assert made.config()["vocab_size"] == large.config()["vocab_size"]
    assert made.config()["hidden_size"] < 512
    assert made.has_chat_template()


def test_nothing_is_made_up_of_a_model_of_which_nothing_is_known():
    with pytest.raises(SettingError, match=r"expected_config.*hf download some/model"):
        Hub(repo="some/model").rehearsal()


def test_a_guess_is_told():
    config = presets()["Qwen/Qwen2-7B-Instruct"]
    lines = Hub(repo="some/Model-Instruct", expected_config=config).not_rehearsed()
    assert any("has a chat template (both are guessed)" in line for line in lines)
    lines = Hub(repo="some/Model", expected_config=config).not_rehearsed()
    assert any("has no chat template (both are guessed)" in line for line in lines)
    assert len(Hub(repo="Qwen/Qwen2-7B-Instruct", expected_config=config).not_rehearsed()) == 1


def test_a_new_model_is_shrunk_like_a_twin(tmp_path):
    config = OmegaConf.to_container(settings("base_model/tinyllama_1_1b").config)
    small = NewModel(config=config, seed=0).rehearsal()
    assert small.config["num_hidden_layers"] == 22
    assert small.config["hidden_size"] == 128
    assert small.config["num_attention_heads"] == 8 * small.config["num_key_value_heads"]
    tiny = NewModel(config={**small.config}, seed=0)
    assert tiny.rehearsal() is tiny


def test_longrope_and_experts_are_shrunk_with_the_rest():
    twin = shrink(
        {
            "model_type": "phi3",
            "hidden_size": 3072,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "intermediate_size": 8192,
            "num_local_experts": 16,
            "num_experts_per_tok": 4,
            "rope_scaling": {
                "type": "longrope",
                "long_factor": [float(i) for i in range(48)],
                "short_factor": [1.0] * 48,
            },
        }
    )
    assert len(twin["rope_scaling"]["long_factor"]) == 4
    assert twin["rope_scaling"]["type"] == "longrope"
    assert (twin["num_local_experts"], twin["num_experts_per_tok"]) == (4, 2)


def test_widths_are_scaled_as_the_twin_is():
    assert scaled(3072, 4096, 64) == 48
    assert scaled(4096, 4096, 64) == 64
    assert scaled(4095, 4096, 64) == 63, "what was smaller stays smaller"
    assert scaled(1, 4096, 64) == 1
