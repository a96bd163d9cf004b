"""Reading mergekit YAMLs: what is refused, and with which words."""

from __future__ import annotations

import pytest

from storm_exp import InputError
from storm_merging.mergefile.merge_file import read_merge_file
from storm_merging.mergefile.recipe import merge_recipe, stage_names

TIES = """
merge_method: ties
base_model: own/base
models:
  - model: own/one
    parameters: {weight: 0.5, density: 0.4}
  - model: own/two@v2
    parameters: {weight: [0, 1e-1]}
parameters: {normalize: true}
dtype: bfloat16
"""


def read(tmp_path, text):
    file = tmp_path / "merge.yaml"
    file.write_text(text, encoding="utf-8")
    return read_merge_file(file)


def test_a_file_is_read(tmp_path):
    merge = read(tmp_path, TIES)
    assert [str(model) for model in merge.models()] == ["own/one", "own/two@v2", "own/base"]
    (piece,) = merge.slices
    assert piece.sources[1].parameters == {"weight": [0.0, 0.1]}
    assert merge.notices == []


def test_a_recipe_has_a_stage_for_every_model(tmp_path):
    (tmp_path / "here").mkdir()
    text = TIES.replace("own/base", "here").replace("own/one", "other/two")
    recipe = merge_recipe(read(tmp_path, text), tmp_path)
    assert recipe["graph"] == {"merger": {"models": ["two", "two_2", "here"]}}
    assert recipe["two_2"] == {"repo": "own/two", "revision": "v2"}
    assert recipe["here"] == {"path": str(tmp_path / "here")}
    assert recipe["defaults"][0] == {"/base_model@two": "hub"}
    assert recipe["merger"]["base"] == 3
    assert recipe["merger"]["dtype"] == "bfloat16"


def test_a_model_with_an_adapter_has_two_stages(tmp_path):
    text = TIES.replace("own/one", "own/base+some/lora@v1")
    recipe = merge_recipe(read(tmp_path, text), tmp_path)
    assert recipe["graph"]["lora"] == {"model": "base"}
    assert recipe["graph"]["merger"] == {"models": ["lora", "two", "base"]}
    assert recipe["lora"] == {"repo": "some/lora", "revision": "v1"}
    assert {"/merger@lora": "merge_adapter"} in recipe["defaults"]


def test_no_stage_is_named_as_a_setting_is(tmp_path):
    text = "merge_method: linear\nmodels: [{model: a/seed}, {model: b/7B}]\nparameters: {weight: 1}"
    assert list(stage_names(read(tmp_path, text).models()).values()) == ["model_seed", "model_7b"]


@pytest.mark.parametrize(
    ("line", "takes_base"),
    [
        ("tokenizer_source: base", True),
        ("tokenizer: {source: own/base}", True),
        ("tokenizer_source: union", False),
    ],
)
def test_a_tokenizer_of_the_base_or_of_all_is_read(tmp_path, line, takes_base):
    merge = read(tmp_path, f"{TIES}{line}\n")
    assert merge.base_tokenizer == takes_base
    assert merge_recipe(merge, tmp_path)["merger"].get("tokenizer") == (3 if takes_base else None)


def test_a_parameter_without_effect_is_told(tmp_path):
    merge = read(tmp_path, TIES.replace("weight: 0.5", "weight: 0.5, t: 1, normalize: false"))
    assert len(merge.notices) == 2
    assert "parameters.t is no parameter of the method" in merge.notices[0]
    assert "parameters.normalize is one for the whole merge" in merge.notices[1]


REFUSED = [
    ("merge_method: ties", "merge_method: tie", "no merge method 'tie'; did you mean 'ties'?"),
    ("merge_method: ties", "merge_method: multislerp", "merger.method=multislerp computes it"),
    ("base_model", "base_modl", "base_modl: unknown key; did you mean 'base_model'?"),
    ("density", "densty", r"models\[0\].parameters.densty: .*did you mean 'density'"),
    ("density: 0.4", "density: 1.4", "density=1.4: must be between 0 and 1"),
    ("weight: 0.5", "weight: high", "weight='high': must be a number"),
    ("normalize: true", "normalize: 3", "normalize=3: must be true or false"),
    ("weight: 0.5", "weight: []", "an empty list has no value"),
    ("weight: 0.5", "weight: [{filtr: mlp, value: 1}]", "filtr: neither filter nor value"),
    ("weight: 0.5", "weight: [{filter: mlp}]", "has no value"),
    ("dtype: bfloat16", "dtype: bfloat61", "did you mean 'bfloat16'"),
    ("own/one", "./nowhere", "neither a folder .* nor a repository"),
    ("own/one", "own/one+", "is no model"),
    ("own/one", "own/two@v2", "own/two@v2 is there twice"),
    ("own/two@v2", "own/two@", "names no revision"),
    ("base_model: own/base\n", "", "base_model: ties needs it"),
    ("dtype:", "tokenizer_source: own/one\ndtype:", "tokenizer_source='own/one': tokenizers of"),
    ("dtype:", "tokenizer: {pad_to_multiple_of: 8}\ndtype:", "pad_to_multiple_of: tokenizers of"),
    ("dtype:", "tokenizer: {sorce: union}\ndtype:", "did you mean 'source'"),
    ("dtype:", "chat_template: auto\ndtype:", "set chat.template="),
    ("dtype:", "modules: {}\ndtype:", "modules: a merge of models with several parts"),
    ("dtype:", "slices: [1]\ndtype:", "either models or slices"),
    ("dtype:", "dtype: float32\ndtype:", "'dtype' is there twice"),
    ("dtype:", "---\ndtype:", "holds 2 documents"),
    ("dtype: bfloat16", "dtype: [", "not YAML"),
]


@pytest.mark.parametrize(("old", "new", "problem"), REFUSED)
def test_what_cannot_be_is_refused(tmp_path, old, new, problem):
    assert old in TIES
    with pytest.raises(InputError, match=problem) as refused:
        read(tmp_path, TIES.replace(old, new, 1))
    assert str(refused.value).startswith(str(tmp_path / "merge.yaml"))


SLICES = """
merge_method: passthrough
slices:
  - sources: [{model: own/one, layer_range: [0, 8]}]
  - sources: [{model: own/two, layer_range: [4, 12]}]
"""
REFUSED_SLICES = [
    ("[0, 8]", "[8, 0]", "holds no layer"),
    ("[0, 8]", "[8, 8]", "holds no layer"),
    ("[0, 8]", "8", r"layer_range=8: must be \[FIRST, END\]"),
    ("layer_range: [0, 8]", "layers: [0, 8]", r"slices\[0\].sources\[0\].layers: unknown key"),
    ("model: own/one, ", "", "names no model"),
    ("[0, 8]}", "[0, 8]}, {model: own/two, layer_range: [0, 8]}", "merges 1 model, not 2"),
    ("[0, 8]}", "[0, 8]}, {model: own/two, layer_range: [0, 7]}", "different numbers of layers"),
    ("- sources: [{model: own/one, layer_range: [0, 8]}]", "- {}", "must be a list"),
]


@pytest.mark.parametrize(("old", "new", "problem"), REFUSED_SLICES)
def test_slices_that_cannot_be_are_refused(tmp_path, old, new, problem):
    assert old in SLICES
    with pytest.raises(InputError, match=problem):
        read(tmp_path, SLICES.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1", "no mergekit YAML"),
        ("model: a/b", "no mergekit YAML"),
        ("", "no mergekit YAML"),
        ("merge_method: linear\nmodels: &a [*a]", "an alias stands for something that holds it"),
        ("merge_method: linear\nbase_model: x\nexperts: []", "mergekit-moe"),
        ("merge_method: 3\nmodels: [1]", "must name a method"),
    ],
)
def test_another_file_is_no_mergekit_yaml(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: No such file"):
        read_merge_file(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_merge_file(tmp_path / "bytes.yaml")
