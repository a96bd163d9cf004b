"""mergekit's methods against mergekit's own way through files."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from storm_exp import InputError, SettingError, describe
from storm_exp.testing import make_stage, run_component
from storm_merging.mergekit import methods as methods
from storm_merging.mergekit.any_method import Mergekit
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def through_files(tmp_path, models, method, base=None, shared=None, each=None):
    """Merge with mergekit's planner, reader and writer; returns the tensors."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    config = {
        "merge_method": method,
        "models": [
            {"model": str(m.directory), "parameters": {k: v[i] for k, v in (each or {}).items()}}
            for i, m in enumerate(models)
        ],
        "parameters": shared or {},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }
    if base:
        config["base_model"] = str(base.directory)
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(yaml.safe_dump(config))),
        str(tmp_path / "mergekit"),
        MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False),
    )
    return load_file(tmp_path / "mergekit" / "model.safetensors")


def assert_equal(merged, expected):
    ours = dict(merged.tensors())
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, expected[name]), name


CASES = {
    "ties": (
        methods.Ties(weights=[0.7, 0.4], density=0.3),
        {"normalize": True, "rescale": False, "lambda": 1.0},
        {"weight": [0.7, 0.4], "density": [0.3, 0.3]},
    ),
    "breadcrumbs": (
        methods.Breadcrumbs(weights=[0.5, 0.5], density=0.8, gamma=0.05, scale=1.5),
        {"normalize": False, "rescale": False, "lambda": 1.5},
        {"weight": [0.5, 0.5], "density": [0.8, 0.8], "gamma": [0.05, 0.05]},
    ),
    "breadcrumbs_ties": (
        methods.BreadcrumbsTies(density=0.9, rescale=True),
        {"normalize": False, "rescale": True, "lambda": 1.0},
        {"weight": [1.0, 1.0], "density": [0.9, 0.9]},
    ),
    "dare_ties": (
        methods.DareTies(density=1.0, weights=[0.6, 0.6], seed=0),
        {},
        {"weight": [0.6, 0.6], "density": [1.0, 1.0]},
    ),
    "della": (
        methods.Della(density=1.0, weights=[0.6, 0.4], seed=0),
        {},
        {"weight": [0.6, 0.4], "density": [1.0, 1.0]},
    ),
    "model_stock": (methods.ModelStock(filter_wise=True), {"filter_wise": True}, {}),
    "sce": (methods.Sce(share=0.2), {"select_topk": 0.2}, {}),
}


@pytest.mark.parametrize("method", CASES)
def test_a_method_equals_mergekit_bit_by_bit(models, tmp_path, method):
    merger, shared, each = CASES[method]
    merged = merger.run(make_stage(tmp_path), models[0], models[1:])
    expected = through_files(tmp_path, models[1:], method, models[0], shared, each)
    assert_equal(merged, expected)
    assert merged.headers() == models[0].headers()
    assert merged.tokenizer().chat_template == models[0].tokenizer().chat_template
    assert json.loads((merged.directory / "merge.json").read_text())["method"] == method


RANDOM = [
    (methods.DareLinear, {"density": 0.3}),
    (methods.DareTies, {"density": 0.3}),
    (methods.Della, {"density": 0.4}),
    (methods.DellaLinear, {"density": 0.4}),
]


@pytest.mark.parametrize(("kind", "settings"), RANDOM)
def test_chance_follows_from_the_seed_alone(models, tmp_path, kind, settings):
    def merge(name, seed):
        torch.manual_seed(len(name))
        merger = kind(**settings, seed=seed)
        merged = merger.run(make_stage(tmp_path, name), models[0], models[1:])
        return (merged.directory / "model.safetensors").read_bytes()

    before = torch.get_rng_state()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = merge("one", 1)
    torch.set_rng_state(state)
    assert one == merge("another", 1)
    assert one != merge("third", 2)
    torch.set_rng_state(before)


def test_dare_keeps_the_share_of_changes_that_was_asked_for(models, tmp_path):
    merger = methods.DareLinear(density=0.3, seed=0)
    merged = merger.run(make_stage(tmp_path), models[0], models[1:2])
    name = "model.embed_tokens.weight"
    kept = merged.tensor(name) != models[0].tensor(name)
    assert float(kept.double().mean()) == pytest.approx(0.3, abs=0.02)


def test_a_merge_leaves_the_random_numbers_of_others_alone(models, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    methods.DareLinear(seed=1).run(make_stage(tmp_path), models[0], models[1:])
    assert torch.equal(torch.rand(3), expected)


def test_the_base_among_the_models_takes_no_part(models, tmp_path):
    settings = {"density": 0.5}
    one = methods.Ties(**settings, weights=[9.0, 0.7, 0.4]).run(
        make_stage(tmp_path, "one"), models[0], models
    )
    two = methods.Ties(**settings, weights=[0.7, 0.4]).run(
        make_stage(tmp_path, "two"), models[0], models[1:]
    )
    assert_equal(one, dict(two.tensors()))
    with pytest.raises(InputError, match="every model is the base itself"):
        run_component(methods.Ties(), make_stage(tmp_path, "none"), models[0], models[:1])
    with pytest.raises(InputError, match=r"model_stock: .*at least 3"):
        run_component(methods.ModelStock(), make_stage(tmp_path, "few"), models[0], models[:2])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_ties_of_the_head_and_the_bases_dtype_are_kept(tmp_path, dtype):
    tied = {"tie_word_embeddings": True}
    base, one = (
        make_checkpoint(tmp_path / n, "qwen2", seed=ord(n), dtype=dtype, **tied) for n in "ab"
    )
    two = make_checkpoint(tmp_path / "c", "qwen2", seed=3, **tied)
    merged = methods.Ties().run(make_stage(tmp_path), base, [one, two])
    assert merged.headers() == base.headers()
    model = merged.load()
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()


def test_sums_are_merged_like_the_files_they_stand_for(kept, models, tmp_path):
    from storm_merging.methods.slerp import Slerp

    base, one, two = [kept.adopt(model) for model in models]
    between = kept.merge(Slerp(), [one, two])
    merged = kept.merge(methods.Ties(), base, [between, two])
    expected = methods.Ties().run(
        make_stage(tmp_path), models[0], [kept.materialise(between), models[2]]
    )
    assert_equal(merged, dict(expected.tensors()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_in_a_model_names_the_tensor(models, tmp_path, bad):
    tensors = load_file(models[1].directory / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = bad
    models[1].copy_companions(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.up_proj\.weight.*NaN"):
        run_component(
            methods.Ties(), make_stage(tmp_path), models[0], [models[2], Checkpoint(tmp_path)]
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: methods.Ties(density=0.0), "density=0.0: must be above 0"),
        (lambda: methods.DareLinear(density=1.5, seed=0), "density=1.5"),
        (lambda: methods.Ties(weights=[float("nan")]), "weights.*finite"),
        (lambda: methods.Ties(scale=float("inf")), "scale.*finite"),
        (lambda: methods.Della(density=0.1, epsilon=0.15, seed=0), "epsilon=0.15: density ± eps"),
        (lambda: methods.Breadcrumbs(gamma=1.0), "gamma=1.0"),
        (lambda: methods.Sce(share=0.0), "share=0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_models_that_do_not_fit_are_refused_when_planned(models, tmp_path):
    known = models[0].spec()
    other = make_checkpoint(tmp_path / "other", num_hidden_layers=3).spec()
    with pytest.raises(InputError, match="num_hidden_layers is 2 in one, 3 in the other"):
        methods.Ties().plan_spec(known, [known, other])
    with pytest.raises(InputError, match="3 weights for 2 models"):
        methods.Ties(weights=[1.0, 1.0, 1.0]).plan_spec(known, [known, known])
    with pytest.raises(InputError, match="model_stock needs 2 or more models besides the base"):
        methods.ModelStock().plan_spec(known, [known])
    with pytest.raises(InputError, match="num_hidden_layers"):
        Mergekit(method="karcher", seed=0).plan_spec([known, other])


@pytest.mark.parametrize(
    ("method", "parameters", "with_base"),
    [
        ("karcher", {"max_iter": 20}, False),
        ("multislerp", {"weight": [0.3, 0.7]}, False),
        ("nuslerp", {"weight": [0.3, 0.7]}, True),
        ("ram", {}, True),
    ],
)
def test_any_other_method_is_had_by_its_name(models, tmp_path, method, parameters, with_base):
    base = models[0] if with_base else None
    merger = Mergekit(method=method, parameters=parameters, seed=0)
    merged = merger.run(make_stage(tmp_path), models[1:], base)
    each = {name: value for name, value in parameters.items() if isinstance(value, list)}
    shared = {name: value for name, value in parameters.items() if name not in each}
    assert_equal(merged, through_files(tmp_path, models[1:], method, base, shared, each))


def test_a_base_that_a_method_does_not_take_is_not_looked_at(models, tmp_path):
    merger = Mergekit(method="karcher", seed=0)
    one = merger.run(make_stage(tmp_path, "one"), models[1:], models[0])
    two = merger.run(make_stage(tmp_path, "two"), models[1:])
    assert_equal(one, dict(two.tensors()))


@pytest.mark.parametrize(
    ("settings", "count", "error", "message"),
    [
        ({"method": "kaircher"}, 2, SettingError, "did you mean 'karcher'"),
        ({"method": "karcher", "parameters": {"tool": 1}}, 2, SettingError, "did you mean 'tol'"),
        ({"method": "karcher", "parameters": {"tol": "x"}}, 2, SettingError, "tol='x'"),
        ({"method": "multislerp"}, 2, SettingError, "multislerp needs weight"),
        (
            {"method": "multislerp", "parameters": {"weight": [1]}},
            2,
            SettingError,
            "1 values for 2",
        ),
        ({"method": "nuslerp", "parameters": {"weight": 1.0}}, 3, InputError, "exactly 2"),
        ({"method": "ties", "parameters": {"weight": 1.0}}, 2, InputError, "requires a base"),
    ],
)
def test_what_mergekit_does_not_know_is_refused_when_planned(
    models, settings, count, error, message
):
    with pytest.raises(error, match=message):
        Mergekit(**settings, seed=0).plan_spec([models[0].spec()] * count)


def test_each_component_is_named_as_mergekit_names_the_method():
    from storm_merging import storm_components
    from storm_merging.methods.merge_yaml import MergeYaml

    kinds = [
        kind
        for kind in storm_components()
        if hasattr(kind, "method") and kind not in (Mergekit, MergeYaml)
    ]
    assert len(kinds) == 9
    for kind in kinds:
        assert describe(kind).name == kind.method
        assert describe(kind).extra == "merge"
