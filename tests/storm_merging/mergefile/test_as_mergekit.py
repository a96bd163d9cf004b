"""Merges of ours as mergekit's YAML, read back."""

from __future__ import annotations

import pytest
import yaml

from storm_exp import InputError
from storm_exp._contract.setting_values import all_settings
from storm_merging.mergefile.as_mergekit import as_mergekit
from storm_merging.mergefile.merge_file import read_merge_file
from storm_merging.mergefile.recipe import merger_settings
from storm_merging.mergekit import methods
from storm_merging.mergekit.any_method import Mergekit
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_merging.methods.linear import Linear
from storm_merging.methods.merge_yaml import MergeYaml
from storm_merging.methods.slerp import Slerp
from storm_merging.methods.task_arithmetic import TaskArithmetic
from storm_merging.vocabulary.settings import VocabularySettings

MODELS = ["own/one", "own/two"]
CASES = {
    "linear": Linear(weights=[0.3, 0.7], normalise=False),
    "slerp": Slerp(t=0.4, schedules={"mlp": [0, 1]}),
    "task_arithmetic": TaskArithmetic(weights=[0.5, 0.2], scale=0.9),
    "ties": methods.Ties(density=0.3),
    "dare_ties": methods.DareTies(density=0.3, seed=0),
    "della": methods.Della(epsilon=0.1, seed=0),
    "breadcrumbs": methods.Breadcrumbs(gamma=0.02),
    "model_stock": methods.ModelStock(filter_wise=True),
    "sce": methods.Sce(share=0.2),
    "mergekit": Mergekit(method="karcher", parameters={"tol": 0.1}, seed=0),
    "depth_upscale": DepthUpscale(m=2),
}


def read_back(tmp_path, content):
    file = tmp_path / "merge.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    merge = read_merge_file(file)
    assert merge.notices == []
    return merge


@pytest.mark.parametrize("component", CASES)
def test_a_merge_is_said_without_a_word_too_many(tmp_path, component):
    base = "own/base" if component not in ("linear", "slerp", "mergekit", "depth_upscale") else None
    models = MODELS if component != "depth_upscale" else MODELS[:1]
    settings = all_settings(CASES[component])
    content = as_mergekit(component, settings, models, base, layers=8, dtype="bfloat16")
    merge = read_back(tmp_path, content)
    assert merge.out_dtype == "bfloat16"
    assert [str(model) for model in merge.models()][: len(models)] == models


def test_values_are_those_of_the_settings(tmp_path):
    settings = all_settings(methods.DellaLinear(weights=[0.1, 0.2], scale=2.0, seed=0))
    merge = read_back(tmp_path, as_mergekit("della_linear", settings, MODELS, "own/base"))
    (piece,) = merge.slices
    assert [source.parameters.get("weight") for source in piece.sources] == [0.1, 0.2, None]
    assert merge.parameters["lambda"] == 2.0
    assert merge.parameters["density"] == 0.5
    up = as_mergekit("depth_upscale", {"m": 2}, MODELS[:1], None, layers=8)
    ranges = [each["sources"][0]["layer_range"] for each in up["slices"]]
    assert ranges == [[0, 6], [2, 8]]


def test_tokens_are_said(tmp_path):
    tokens = {"<a>": {"source": 2, "force": True}, "<b>": {"source": "zero"}}
    tokens["<c>"] = {"source": {"model": 1, "token": "x"}}
    merger = MergeYaml(
        method="linear",
        parameters={"weight": 1},
        tokenizer=VocabularySettings(source="2", tokens=tokens, pad_to_multiple_of=8),
        chat_template="auto",
        seed=0,
    )
    merge = read_back(tmp_path, as_mergekit("merge_yaml", all_settings(merger), MODELS, None))
    assert merger_settings(merge, {model: i for i, model in enumerate(merge.models(), 1)}) == {
        "method": "linear",
        "slices": [{"sources": [{"model": 1}, {"model": 2}]}],
        "parameters": {"weight": 1.0},
        "tokenizer": {"source": "2", "tokens": tokens, "pad_to_multiple_of": 8},
        "chat_template": "auto",
        "dtype": "float32",
    }
    same = MergeYaml(method="linear", parameters={"weight": 1}, seed=0)
    content = as_mergekit("merge_yaml", all_settings(same), MODELS, None)
    assert not {"tokenizer", "chat_template"} & content.keys()


def test_what_cannot_be_said_is_refused():
    with pytest.raises(InputError, match="block_expand: mergekit's YAML cannot say it"):
        as_mergekit("block_expand", {}, MODELS, None)
