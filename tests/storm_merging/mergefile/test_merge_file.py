"""Reading mergekit YAMLs: what is refused, and with which words."""

from __future__ import annotations

import pytest

from storm_exp import InputError, load_plugins
from storm_merging.mergefile.merge_file import read_merge_file
from storm_merging.mergefile.model_reference import ModelReference, Place
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


def test_every_menu_and_section_keeps_its_name():
    plugins = load_plugins()
    taken = {*plugins.menus(), *plugins.sections(), "recipe", "graph"} - {"base_model"}
    models = [ModelReference(Place(name, name=name)) for name in sorted(taken)]
    assert not taken & set(stage_names(models).values())


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("tokenizer_source: base", {"source": "base"}),
        ("tokenizer: {source: own/base}", {"source": "3"}),
        ("tokenizer_source: union", {"source": "union"}),
        ("tokenizer: {pad_to_multiple_of: 8}", {"source": "union", "pad_to_multiple_of": 8}),
        (
            "tokenizer: {source: base, tokens: {<a>: {source: own/one, force: true}}}",
            {"source": "base", "tokens": {"<a>": {"source": 1, "force": True}}},
        ),
        (
            "tokenizer: {tokens: {<a>: {source: {kind: zero}}}}",
            {"source": "union", "tokens": {"<a>": {"source": "zero"}}},
        ),
        (
            "tokenizer: {tokens: {a: {source: {kind: model_token, model: own/base, token_id: 0}}}}",
            {"source": "union", "tokens": {"a": {"source": {"model": 3, "token_id": 0}}}},
        ),
    ],
)
def test_the_tokens_of_the_merge_are_read(tmp_path, line, settings):
    merge = read(tmp_path, f"{TIES}{line}\n")
    assert merge_recipe(merge, tmp_path)["merger"]["tokenizer"] == settings
    assert "tokenizer" not in merge_recipe(read(tmp_path, TIES), tmp_path)["merger"]


def test_a_model_may_give_the_tokenizer_alone(tmp_path):
    merge = read(tmp_path, f"{TIES}tokenizer_source: own/four\n")
    recipe = merge_recipe(merge, tmp_path)
    assert recipe["graph"]["merger"]["models"] == ["one", "two", "base", "four"]
    assert recipe["merger"]["tokenizer"] == {"source": "4"}
    assert [each["model"] for each in recipe["merger"]["slices"][0]["sources"]] == [1, 2, 3]


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
    ("own/two@v2", "own/two@v2@v3", "names no revision after one @"),
    ("parameters: {weight: 0.5, density: 0.4}", "weight: 0.5", "weight: stands under parameters"),
    (
        "parameters: {weight: 0.5, density: 0.4}",
        "layer_range: [0, 2]",
        "layers are those of a slice",
    ),
    (
        "{weight: 0.5, density: 0.4}",
        "{density: 0.4}",
        "models: ties needs the parameter weight of own/one",
    ),
    ("weight: 0.5", "weight: .nan", "weight=nan: must be a number"),
    ("weight: 0.5", "2: 0.5", "parameters.2: no parameter of any method"),
    ("weight: 0.5", "weight: [{3: mlp, value: 1}]", "3: neither filter nor value"),
    (
        "    parameters: {weight: [",
        "\tparameters: {weight: [",
        r":8: not YAML: .* indented with spaces",
    ),
    ("base_model: own/base\n", "", "base_model: ties needs it"),
    ("dtype:", "tokenizer_source: unoin\ndtype:", "no tokenizer; did you mean 'union'"),
    (
        "dtype:",
        "tokenizer_source: ./none\ndtype:",
        "tokenizer_source: './none' is neither",
    ),
    (
        "dtype:",
        "tokenizer_source: base\ntokenizer: {}\ndtype:",
        "is given as well; keep one",
    ),
    ("dtype:", "tokenizer: {pad_to_multiple_of: 0}\ndtype:", "a whole number, 1 or more"),
    ("dtype:", "tokenizer: {sorce: union}\ndtype:", "did you mean 'source'"),
    ("dtype:", "tokenizer: {tokens: [a]}\ndtype:", "must hold tokens with their source"),
    ("dtype:", "tokenizer: {tokens: {a: {}}}\ndtype:", "tokens.a: needs a source"),
    ("dtype:", "tokenizer: {tokens: {a: {forse: 1}}}\ndtype:", "did you mean 'force'"),
    ("dtype:", "tokenizer: {tokens: {a: {source: {kind: one}}}}\ndtype:", "must be zero or model"),
    (
        "dtype:",
        "tokenizer: {tokens: {a: {source: {kind: model_token, model: a/b}}}}\ndtype:",
        "needs either token or token_id",
    ),
    ("dtype:", "chat_template: 3\ndtype:", "chat_template=3: must be auto"),
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


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("merge_method: ties", "merge_method: tie", ":2: merge_method: "),
        ("density: 0.4", "density: 1.4", ":6: models[0].parameters.density=1.4"),
        ("[0, 1e-1]", "[0, x]", ":8: models[1].parameters.weight[1]='x'"),
        ("weight: 0.5", "weight: [{value: [1, y]}]", ":6: models[0].parameters.weight[0].value[1]"),
        (
            "dtype:",
            "tokenizer: {tokens: {<|a.b|>: {forse: 1}}}\ndtype:",
            ":10: tokenizer.tokens.<|a.b|>",
        ),
        ("dtype:", "x: 1\ndtype:", ":10: x: unknown key"),
        ("dtype:", "models: []\ndtype:", ":10: not YAML: 'models' is there twice"),
        ("base_model: own/base\n", "", ": base_model: ties needs it"),
    ],
)
def test_the_line_is_named(tmp_path, old, new, place):
    assert old in TIES
    with pytest.raises(InputError) as refused:
        read(tmp_path, TIES.replace(old, new, 1))
    assert str(refused.value).startswith(f"{tmp_path / 'merge.yaml'}{place}")


@pytest.mark.parametrize("written", ["./{0}", "{0}/", "{0}/../{0}", "{1}/{0}"])
def test_a_folder_is_the_same_however_it_is_written(tmp_path, written):
    (tmp_path / "here").mkdir()
    again = written.format("here", tmp_path)
    text = TIES.replace("own/one", "here")
    with pytest.raises(InputError, match="is there twice"):
        read(tmp_path, text.replace("own/two@v2", again))
    merge = read(tmp_path, text.replace("own/base", again))
    assert [str(model) for model in merge.models()] == ["here", "own/two@v2"]


def test_a_file_does_not_name_its_own_result(tmp_path):
    (tmp_path / "outputs/first/merger").mkdir(parents=True)
    (tmp_path / "outputs/latest").symlink_to("first")
    text = TIES.replace("own/one", "outputs/latest/merger")
    with pytest.raises(InputError, match=r"another model after each merge: write .*/first/merger"):
        read(tmp_path, text)
    (tmp_path / "outputs/first/finetuner").mkdir()
    read(tmp_path, text.replace("latest/merger", "first/merger"))
    read(tmp_path, text.replace("latest/merger", "latest/finetuner"))


def test_a_name_and_a_key_that_mergekit_gave_up_are_told(tmp_path):
    assert read(tmp_path, f"name: mine\n{TIES}").notices == ["name is without effect"]
    slices = SLICES.replace("  - sources", "  - residual_weight: 0.1\n    sources", 1)
    assert read(tmp_path, slices).notices == ["slices[0].residual_weight is without effect"]


def test_numbers_may_stand_for_true_and_false(tmp_path):
    merge = read(tmp_path, TIES.replace("normalize: true", "normalize: 1, rescale: 0.0"))
    assert merge.parameters == {"normalize": True, "rescale": False}


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
    ("- sources: [{model: own/one, layer_range: [0, 8]}]", "- model: own/one", "at a source"),
    ("[0, 8]", "[0, 8, 2]", r"must be \[FIRST, END\]"),
    ("[0, 8]", "[-2, 8]", r"layer_range=\[-2, 8\]: holds no layer"),
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
        ("base_model: x\ngate_mode: hidden\nexperts: []", r":2: gate_mode: .*mergekit-moe"),
        ("merge_method: 3\nmodels: [1]", "must name a method"),
    ],
)
def test_another_file_is_no_mergekit_yaml(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)


LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k1: 1, k2: 2, k3: 3}\n" + "".join(
    f"{name}: &{name}\n  <<: [{', '.join([f'*{before}'] * 50)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "more than 100,000 values"),
        (MERGES, "more than 10,000 entries by '<<'"),
        (f"a: &a {{}}\nb: {{<<: [{', '.join(['*a'] * 101)}]}}", "'<<' names more than 100"),
        ("a: " + "[" * 60 + "]" * 60, "more than 40 levels"),
        ("a: " + "[" * 3000 + "]" * 3000, "not YAML that can be read"),
        ("a: &a {<<: *a}", "no mergekit YAML"),
        ("merge_method: !!python/object/apply:os.system ['true']", "could not determine a constr"),
        ("merge_method: !own linear", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable key"),
        ("a: *b", "undefined alias"),
        (f"a: {'x' * 1_000_001}", "larger than 1 MB"),
    ],
)
def test_a_file_that_is_made_to_harm_is_refused(tmp_path, text, problem):
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: No such file"):
        read_merge_file(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_merge_file(tmp_path / "bytes.yaml")
