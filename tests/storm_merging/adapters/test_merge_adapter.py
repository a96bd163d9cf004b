"""Adapters merged into their models, against peft."""

from __future__ import annotations

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_merging.methods.merge_adapter import MergeAdapter
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Checkpoint:
    return make_checkpoint(tmp_path_factory.mktemp("model"), "qwen2", dtype="float32")


def save_adapter(model, folder, **settings):
    torch.manual_seed(3)
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "up_proj"], **settings}
    )
    adapted = get_peft_model(model.load(), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"up_proj": 20}, "rank_pattern": {"layers.1.self_attn.q_proj": 2}},
    ],
)
def test_a_merged_adapter_is_pefts(model, tmp_path, settings):
    folder = save_adapter(model, tmp_path / "adapter", **settings)
    merger = MergeAdapter(path=str(folder))
    assert merger.plan_spec(model.spec()) == model.spec()
    merged = merger.run(make_stage(tmp_path), model)
    expected = PeftModel.from_pretrained(model.load(), folder).merge_and_unload().state_dict()
    changed = 0
    for name, tensor in merged.tensors():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-7)
        changed += not torch.equal(tensor, model.tensor(name))
    assert changed == 4


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("use_dora", True, "use_dora is True; only plain LoRA"),
        ("modules_to_save", ["lm_head"], "modules_to_save"),
        ("peft_type", "IA3", "peft_type is IA3"),
    ],
)
def test_what_is_no_plain_lora_is_refused(model, tmp_path, key, value, problem):
    folder = save_adapter(model, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(InputError, match=problem):
        MergeAdapter(path=str(folder)).plan_spec(model.spec())


def test_the_model_that_an_adapter_is_for_is_told(model, tmp_path):
    folder = save_adapter(model, tmp_path / "adapter")
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "base_model_name_or_path": "own/base"}))
    assert MergeAdapter(path=str(folder)).notes() == ["the adapter says that it is for own/base"]
    file.write_text(json.dumps({**config, "base_model_name_or_path": None}))
    assert MergeAdapter(path=str(folder)).notes() == []


def test_an_adapter_of_another_model_is_refused(model, tmp_path):
    other = make_checkpoint(tmp_path / "other", "qwen2", hidden_size=64)
    folder = save_adapter(other, tmp_path / "adapter")
    with pytest.raises(InputError, match=r"changes a .*up_proj.weight of \[64, 64\]"):
        MergeAdapter(path=str(folder)).plan_spec(model.spec())
    with pytest.raises(InputError, match="no adapter, which has a file"):
        MergeAdapter(path=str(other.directory)).plan_spec(model.spec())
    with pytest.raises(SettingError, match="give one of the two"):
        MergeAdapter(path="a", repo="b/c")
