"""Which parameters train, on real models."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.sft import Sft
from storm_training.testing import make_chats, tokenise_chats
from storm_training.trainable.selection import choose
from storm_training.trainable.settings import TrainableSettings

FEW = {
    "steps": 3,
    "sequence_length": 96,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "precision": "float32",
    "weight_decay": 0.1,
    "seed": 0,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("model"), num_hidden_layers=3, dtype="float32")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("data")
    return tokenise_chats(folder / "tokens", model, make_chats(folder / "chats"))


def changed(model, tokens, folder, **choice) -> tuple[set[str], Checkpoint]:
    settings = Sft(**FEW, trainable=TrainableSettings(**choice))
    result = settings.run(make_stage(folder), model, tokens)
    names = {n for n in model.headers() if not torch.equal(model.tensor(n), result.tensor(n))}
    return names, result


def test_the_last_layers_train_alone(tmp_path, model, tokens):
    names, _ = changed(model, tokens, tmp_path, method="last_layers", layers=1, head=False)
    assert names == {
        n for n in model.headers() if n.startswith("model.layers.2.") and "norm" not in n
    }


def test_head_and_norms_go_along_when_asked(tmp_path, model, tokens):
    names, _ = changed(model, tokens, tmp_path, method="last_layers", layers=1, norms=True)
    assert names == {n for n in model.headers() if n.startswith("model.layers.2.")} | {
        "lm_head.weight",
        "model.norm.weight",
    }


def test_named_parameters_match_as_a_whole(tmp_path, model, tokens):
    pattern = r"model\.layers\.[01]\.mlp\..*"
    names, _ = changed(model, tokens, tmp_path, method="named", names=[pattern])
    assert names == {
        f"model.layers.{layer}.mlp.{kind}_proj.weight"
        for layer in (0, 1)
        for kind in ("gate", "up", "down")
    }
    with pytest.raises(SettingError, match="matches the whole name of no parameter"):
        changed(model, tokens, tmp_path / "b", method="named", names=["mlp"])


def test_only_the_layers_that_an_expansion_added_train(tmp_path, tokens):
    model = make_checkpoint(tmp_path / "model", num_hidden_layers=3, dtype="float32")
    with pytest.raises(InputError, match="records no added layers"):
        changed(model, tokens, tmp_path / "a", method="new_layers")
    (model.directory / "surgery.json").write_text(json.dumps({"new_layers": [1]}))
    names, _ = changed(model, tokens, tmp_path / "b", method="new_layers")
    assert names == {n for n in model.headers() if n.startswith("model.layers.1.")}


def test_low_rank_updates_are_merged_as_peft_merges_them(tmp_path, model, tokens):
    from peft import PeftModel

    names, result = changed(model, tokens, tmp_path, method="lora", rank=4)
    assert names == {n for n in model.headers() if n.endswith("_proj.weight")}
    adapted = PeftModel.from_pretrained(model.load("float32"), result.directory / "adapter")
    assert adapted.peft_config["default"].r == 4
    merged = adapted.merge_and_unload().state_dict()
    for name in names:
        assert torch.allclose(result.tensor(name), merged[name], atol=1e-6), name
    record = json.loads((result.directory / "training.json").read_text())
    trained = [row for row in record["trainable"] if row["trained"]]
    assert all(".lora_" in row["name"] for row in trained) and len(trained) == 2 * 21


def test_low_rank_updates_reach_the_chosen_matrices_only(tmp_path, model, tokens):
    names, result = changed(model, tokens, tmp_path, method="lora", rank=2, modules=["q_proj"])
    assert names == {n for n in model.headers() if n.endswith("q_proj.weight")}
    assert len(load_file(result.directory / "adapter" / "adapter_model.safetensors")) == 6
    with pytest.raises(SettingError, match="no such matrix"):
        changed(model, tokens, tmp_path / "b", method="lora", modules=["qkv"])


def test_qlora_says_what_it_needs(model, tokens):
    settings = Sft(**FEW, trainable=TrainableSettings(method="qlora"))
    with pytest.raises(SettingError, match="needs bitsandbytes and a GPU"):
        settings.plan_spec(model.spec(), tokens.spec())


def test_choosing_more_layers_than_there_are_is_an_error(model):
    with pytest.raises(SettingError, match="the model has 3 layers"):
        choose(TrainableSettings(method="last_layers", layers=4), model.headers())
