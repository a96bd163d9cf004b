import json
import math

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_merging.methods.linear import Linear
from storm_merging.methods.slerp import Slerp
from storm_merging.methods.task_arithmetic import TaskArithmetic
from storm_models.checkpoint import weights
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def mergekit(tmp_path, **config):
    """Merge with mergekit itself; returns its tensors."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    text = yaml.safe_dump({"dtype": "bfloat16", **config})
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(text)),
        str(tmp_path / "mergekit"),
        MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False),
    )
    return load_file(tmp_path / "mergekit" / "model.safetensors")


def assert_one_rounding(ours, theirs):
    """Each element differs by at most one bfloat16 step, or by fp32's own error near zero."""
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype == torch.bfloat16
        torch.testing.assert_close(ours[name], theirs[name], rtol=2**-7, atol=1e-8, msg=name)


def sources(models):
    return [{"model": str(model.directory)} for model in models]


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"t": 0.3}, 0.3),
        (
            {"t": 0.5, "schedules": {"self_attn": [0, 0.5, 1], "mlp": [1, 0]}},
            [
                {"filter": "self_attn", "value": [0, 0.5, 1]},
                {"filter": "mlp", "value": [1, 0]},
                {"value": 0.5},
            ],
        ),
    ],
    ids=["scalar", "scheduled"],
)
def test_slerp_equals_mergekit_to_one_rounding(models, tmp_path, settings, parameter):
    merged = Slerp(**settings).run(make_stage(tmp_path), models[:2])
    expected = mergekit(
        tmp_path,
        merge_method="slerp",
        base_model=str(models[0].directory),
        slices=[{"sources": [{**s, "layer_range": [0, 2]} for s in sources(models[:2])]}],
        parameters={"t": parameter},
    )
    assert_one_rounding(dict(merged.tensors()), expected)
    summary = json.loads((merged.directory / "merge.json").read_text())
    assert 0.5 <= summary["share_slerped"] < 1
    assert summary["slerped"] == sum(abs(c) <= 0.9995 for c in cosines(models).values())


def cosines(models):
    """Cosine of the angle between the first two models' tensors, in double precision."""
    one, two = (dict(model.tensors()) for model in models[:2])
    flat = {name: [t[name].double().flatten() for t in (one, two)] for name in one}
    return {name: float(a @ b / a.norm() / b.norm()) for name, (a, b) in flat.items()}


def test_some_pairs_lie_close_to_the_colinear_boundary_on_either_side(models):
    near = {name: c for name, c in cosines(models).items() if 0.9994 < c < 0.9996}
    assert {name.split(".")[4]: c > 0.9995 for name, c in near.items()} == {
        "gate_proj": True,
        "up_proj": False,
    }


def changed(checkpoint, directory, changes):
    """A copy of a checkpoint with some tensors changed."""
    tensors = load_file(checkpoint.directory / "model.safetensors")
    for name, change in changes.items():
        tensors[name] = change(tensors[name])
    directory.mkdir()
    checkpoint.copy_companions(directory)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return Checkpoint(directory)


def test_zero_opposite_and_equal_tensors_merge_as_mergekit_merges_them(models, tmp_path):
    q, k, v, o = (f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkvo")
    first = models[0].tensor(o)
    zero, opposite = torch.zeros_like, torch.neg
    one = changed(models[0], tmp_path / "one", {q: zero, v: zero})
    other = {k: zero, v: zero, o: lambda _: opposite(first)}
    two = changed(models[1], tmp_path / "two", other)
    merged = Slerp(t=0.3).run(make_stage(tmp_path), [one, two])
    expected = mergekit(
        tmp_path,
        merge_method="slerp",
        base_model=str(one.directory),
        models=sources([one, two]),
        parameters={"t": 0.3},
    )
    assert_one_rounding(dict(merged.tensors()), expected)
    assert not merged.tensor(v).any()
    torch.testing.assert_close(merged.tensor(o), 0.4 * first, rtol=2**-7, atol=1e-8)


def test_linear_equals_mergekit_to_one_rounding(models, tmp_path):
    weights = [0.5, 0.2, 1.1]
    merged = Linear(weights=weights).run(make_stage(tmp_path), models)
    expected = mergekit(
        tmp_path,
        merge_method="linear",
        models=[
            {**source, "parameters": {"weight": weight}}
            for source, weight in zip(sources(models), weights, strict=True)
        ],
    )
    assert_one_rounding(dict(merged.tensors()), expected)


def test_task_arithmetic_is_the_base_plus_weighted_differences(models, tmp_path):
    merger = TaskArithmetic(weights=[0.5, 0.25], scale=2.0)
    merged = merger.run(make_stage(tmp_path), models[0], models[1:])
    base, one, two = (dict(model.tensors()) for model in models)
    for name, tensor in merged.tensors():
        b = base[name].double()
        exact = b + 1.0 * (one[name].double() - b) + 0.5 * (two[name].double() - b)
        torch.testing.assert_close(tensor.double(), exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_the_ends_of_a_merge_are_its_parents(models, tmp_path, t):
    merged = Slerp(t=t).run(make_stage(tmp_path), models[:2])
    parent = dict(models[int(t)].tensors())
    assert all(torch.equal(tensor, parent[name]) for name, tensor in merged.tensors())


def test_merged_logits_are_those_of_the_merged_weights(models, tmp_path):
    merged = Slerp(t=0.4).run(make_stage(tmp_path), models[:2])
    model = models[0].load()
    model.load_state_dict(dict(merged.tensors()))
    ids = torch.arange(20)[None]
    assert torch.equal(merged.load()(ids).logits, model(ids).logits)
    assert merged.tokenizer().chat_template == models[0].tokenizer().chat_template


def test_the_size_of_the_pieces_does_not_change_a_merge(models, tmp_path, monkeypatch):
    whole = Slerp(t=0.4).run(make_stage(tmp_path, "whole"), models[:2])
    monkeypatch.setattr(weights, "PIECE", 100)
    pieces = Slerp(t=0.4).run(make_stage(tmp_path, "pieces"), models[:2])
    expected = dict(whole.tensors())
    assert all(
        torch.allclose(t.float(), expected[name].float(), rtol=2**-7, atol=1e-6)
        for name, t in pieces.tensors()
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_ties_and_the_first_models_dtype_are_kept(tmp_path, dtype):
    tied = {"tie_word_embeddings": True}
    one = make_checkpoint(tmp_path / "a", "qwen2", seed=1, dtype=dtype, **tied)
    two = make_checkpoint(tmp_path / "b", "qwen2", seed=2, dtype="float32", **tied)
    merged = Slerp().run(make_stage(tmp_path), [one, two])
    assert merged.headers() == one.headers()
    model = merged.load()
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert model.dtype == getattr(torch, dtype)


def test_sharded_parents_merge_like_whole_ones(models, tmp_path):
    expected = Slerp(t=0.4).run(make_stage(tmp_path, "whole"), models[:2])
    models[1].load().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    models[1].copy_companions(tmp_path / "shards")
    shards = Checkpoint(tmp_path / "shards")
    assert len(shards.weight_files()) > 1
    merged = Slerp(t=0.4).run(make_stage(tmp_path, "merged"), [models[0], shards])
    files = [each.directory / "model.safetensors" for each in (expected, merged)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("merger", [Slerp(), Linear()], ids=["slerp", "linear"])
def test_nan_in_a_model_names_the_tensor(models, tmp_path, bad, merger):
    def spoil(tensor):
        tensor[3, 3] = bad
        return tensor

    name = "model.layers.1.mlp.up_proj.weight"
    spoilt = changed(models[1], tmp_path / "bad", {name: spoil})
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.up_proj\.weight.*NaN"):
        run_component(merger, make_stage(tmp_path), [models[0], spoilt])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_hidden_layers": 3}, "num_hidden_layers is 2 in one, 3 in the other"),
        ({"vocab_size": 300}, "vocab_size is 262 in one, 300"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is False in one, True"),
        (
            {"attention_bias": True},
            r"tensors differ in name or shape: model\.layers\.0\.\S+q_proj\.bias, .* and 5 more",
        ),
        ({"family": "mistral"}, "model_type is llama in one, mistral"),
    ],
)
def test_models_that_do_not_fit_are_refused_by_name_before_a_byte(models, tmp_path, sizes, message):
    other = make_checkpoint(tmp_path / "other", **sizes)
    with pytest.raises(InputError, match=message):
        Slerp().plan_spec([models[0].spec(), other.spec()])
    stage = make_stage(tmp_path)
    with pytest.raises(InputError, match=message):
        run_component(Slerp(), stage, [models[0], other])
    assert not any(stage.directory.iterdir())


def test_tokenizers_that_differ_are_refused(models, tmp_path):
    other = make_checkpoint(tmp_path / "other", extra_tokens=("new",), vocab_size=262)
    with pytest.raises(InputError, match="tokenizers"):
        Slerp().plan_spec([models[0].spec(), other.spec()])


@pytest.mark.parametrize(
    "merger", [Slerp(), Linear(), TaskArithmetic()], ids=lambda m: type(m).__name__
)
def test_the_room_of_a_merge_is_estimated_before_it_is_made(models, merger):
    known = models[0].spec()
    given = {} if isinstance(merger, Slerp) else {"models": [known, known]}
    cost = merger.cost(spec=known, **given)
    assert cost.disk == pytest.approx(models[0].weight_bytes(), rel=0.05)
    assert cost.on_host and cost.flops >= 4 * known.parameters


def test_what_is_unknown_at_plan_time_is_no_error(models):
    from storm_models.checkpoint.spec import CheckpointSpec

    known = models[0].spec()
    assert Slerp().plan_spec([CheckpointSpec(), known]).parameters == known.parameters
    assert Linear().plan_spec([CheckpointSpec()] * 3) == CheckpointSpec()


def test_wrong_numbers_of_models_and_weights_are_refused(models):
    known = models[0].spec()
    with pytest.raises(InputError, match="exactly two checkpoints, not 3"):
        Slerp().plan_spec([known] * 3)
    with pytest.raises(InputError, match="not one"):
        Linear().plan_spec([known])
    with pytest.raises(InputError, match="2 weights for 3 models"):
        Linear(weights=[1.0, 2.0]).plan_spec([known] * 3)
    with pytest.raises(InputError, match="sum to 0"):
        Linear(weights=[1.0, -1.0]).plan_spec([known] * 2)
    with pytest.raises(InputError, match="1 weights for 2 models"):
        TaskArithmetic(weights=[1.0]).plan_spec(known, [known] * 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("merger", [Linear, TaskArithmetic])
def test_weights_that_are_no_numbers_are_refused_by_name(merger, bad):
    with pytest.raises(SettingError, match=rf"weights=\[{bad}, 1.0\]: must be finite"):
        merger(weights=[bad, 1.0])
    with pytest.raises(SettingError, match=f"scale={bad}: must be finite"):
        TaskArithmetic(scale=bad)
