import json

import pytest
from safetensors.torch import load_file, save_file

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.sources.path import Path
from storm_models.testing import make_checkpoint


@pytest.fixture
def folder(tmp_path):
    return make_checkpoint(tmp_path / "model").directory


def plan_spec(folder):
    return Path(path=str(folder)).plan_spec()


def change_config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_weights_stay_where_they_lie_and_what_stands_beside_them_is_copied(folder, tmp_path):
    (folder / "training_args.bin").write_bytes(b"x")
    stage = make_stage(tmp_path)
    checkpoint = Path(path=str(folder)).run(stage)
    made = {file.name: file for file in checkpoint.directory.iterdir()}
    assert "training_args.bin" not in made
    assert stage.linked == ["model.safetensors"]
    assert made["model.safetensors"].readlink() == folder / "model.safetensors"
    assert made["config.json"].read_bytes() == (folder / "config.json").read_bytes()
    assert not made["config.json"].is_symlink()
    assert checkpoint.load().config.model_type == "llama"


def test_the_forecast_is_what_the_files_say(folder):
    known = plan_spec(folder)
    assert known.parameters == 35_360
    assert known.config["model_type"] == "llama"
    assert known.has_chat_template
    assert known.tokenizer and known.shapes


def test_the_fingerprint_follows_contents_and_not_places(folder, tmp_path, digests):
    before = Path(path=str(folder)).fingerprint(digests)
    moved = folder.rename(tmp_path / "elsewhere")
    assert Path(path=str(moved)).fingerprint(digests) == before
    change_config(moved, initializer_range=0.5)
    after = Path(path=str(moved)).fingerprint(digests)
    assert {name for name in before if before[name] != after[name]} == {"config.json"}


def test_a_relative_path_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=f"{tmp_path}/meta-llama/x .*never looked up on the hub"):
        plan_spec("meta-llama/x")


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"x")
    with pytest.raises(SettingError, match="must be a directory"):
        plan_spec(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", "no weights"),
    ],
)
def test_what_is_missing_is_named(folder, missing, message):
    (folder / missing).unlink()
    with pytest.raises(InputError, match=message):
        plan_spec(folder)


def test_pickled_weights_are_refused_with_what_to_do(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin; only safetensors are read"):
        plan_spec(folder)


@pytest.mark.parametrize("beside_a_model", [True, False])
def test_an_adapter_is_no_model(folder, beside_a_model):
    (folder / "adapter_config.json").write_text("{}")
    if not beside_a_model:
        (folder / "config.json").unlink()
    with pytest.raises(InputError, match="adapter"):
        plan_spec(folder)


def test_truncated_weights_are_refused(folder):
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.truncate(50_000)
    with pytest.raises(InputError, match="truncated"):
        plan_spec(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["LlamaForSequenceClassification"]}, "not a causal language model"),
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel is a language model of a family"),
        ({"model_type": ""}, "no model_type"),
        ({"num_hidden_layers": 3}, "lack model.layers.2.*which config.json implies"),
        ({"num_hidden_layers": 1}, "the weights hold model.layers.1"),
        ({"vocab_size": 300}, r"embed_tokens.weight has the shape \[262, 32\].*\[300, 32\]"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(folder, changes, message):
    change_config(folder, **changes)
    with pytest.raises(InputError, match=message):
        plan_spec(folder)


def test_a_config_that_is_no_json_is_refused(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        plan_spec(folder)


def test_weights_that_a_tied_model_stores_twice_are_accepted(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    change_config(folder, tie_word_embeddings=True)
    assert plan_spec(folder).parameters == 35_360


def test_an_infinite_limit_is_held_as_transformers_writes_it(folder):
    change_config(folder, time_step_limit=[0.0, float("inf")])
    known = plan_spec(folder)
    assert known.config["time_step_limit"] == [0.0, {"__float__": "Infinity"}]
    json.dumps(known.to_json(), allow_nan=False)
