"""Which checkpoints may be merged: configs of several spellings, heads that are stored twice."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from families import FAMILIES, family_checkpoint
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_merging.mergekit.methods import Ties
from storm_merging.methods.linear import Linear
from storm_merging.methods.merge_yaml import MergeYaml
from storm_merging.methods.slerp import Slerp
from storm_merging.methods.task_arithmetic import TaskArithmetic
from storm_merging.parents.compatibility import merge_spec
from storm_merging.parents.weight_semantics import weight_semantics
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint

SIZES = {
    "vocab_size": 300,
    "hidden_size": 256,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 32,
}
LLAMA = {
    "model_type": "llama",
    **SIZES,
    "transformers_version": "5.17.0",
    "hidden_act": "silu",
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
GEMMA3 = {"model_type": "gemma3_text", **SIZES, "transformers_version": "5.17.0"}


def plan_spec(*configs):
    return merge_spec([CheckpointSpec(config=c) for c in configs], ["one", "two"])


def older(config):
    """The same config as transformers 4 spelt it."""
    old = {**config, "transformers_version": "4.40.0"}
    rotary = old.pop("rope_parameters")
    if old["model_type"] == "gemma3_text":
        old["rope_local_base_freq"] = rotary["sliding_attention"]["rope_theta"]
        rotary = rotary["full_attention"]
    scaling = {name: value for name, value in rotary.items() if name != "rope_theta"}
    old["rope_theta"] = int(rotary["rope_theta"])
    if "partial_rotary_factor" in scaling:
        old["partial_rotary_factor"] = scaling.pop("partial_rotary_factor")
    kind = scaling.pop("rope_type")
    old["rope_scaling"] = None if kind == "default" else {"type": kind, **scaling}
    old.pop("layer_types", None)
    if old["model_type"] != "qwen3":  # its default is 128
        del old["head_dim"]
    return {name: value for name, value in old.items() if name != "tie_word_embeddings" or value}


@pytest.mark.parametrize("family", FAMILIES)
def test_siblings_of_several_versions_of_transformers_merge(family, tmp_path):
    sizes = {"hidden_size": 1024, "head_dim": 256} if "gemma" in family else {}
    new = family_checkpoint(tmp_path, family, **sizes).config()
    old = older(new)
    read = AutoConfig.for_model(**old).to_dict()
    assert read["rope_parameters"] == new["rope_parameters"]
    assert weight_semantics(old) == weight_semantics(new)
    assert plan_spec(old, new).config == old


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_written_config_leaves_out_is_the_default_of_transformers(family):
    short = {"model_type": family, **SIZES, "transformers_version": "4.40.0"}
    full = AutoConfig.for_model(**short).to_dict()
    defaults = weight_semantics(short)
    stated = weight_semantics({**full, "transformers_version": "5.17.0"})
    assert defaults == {name: stated[name] for name in defaults}
    assert {name for name in stated if stated[name] is not None} <= set(defaults)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
            "one and two cannot be merged: rope_theta is 10000.0 in one, 1000000.0 in the other",
        ),
        ({"rope_parameters": None, "rope_theta": 500000.0}, "rope_theta is 10000.0 in one, 500000"),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
            "rope_type is default in one, linear in the other",
        ),
        ({"hidden_act": "gelu"}, "hidden_act is silu in one, gelu"),
        ({"head_dim": 16}, "head_dim is 8 in one, 16"),
        ({"num_key_value_heads": 2}, "num_key_value_heads is 32 in one, 2"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is False in one, True"),
    ],
)
def test_weights_that_mean_something_else_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        plan_spec(LLAMA, {**LLAMA, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sliding_window_pattern": 3}, r"layer_types\[2\] is sliding_attention in one, full"),
        ({"rope_local_base_freq": 20000.0}, r"sliding_attention.rope_theta is 10000.0 in one"),
        ({"rope_theta": 10000.0}, r"full_attention.rope_theta is 1000000.0 in one, 10000"),
        ({"query_pre_attn_scalar": 8}, "query_pre_attn_scalar is 256 in one, 8"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping is None in one, 30"),
    ],
)
def test_layers_of_other_kinds_and_scales_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        plan_spec(GEMMA3, {**GEMMA3, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"max_position_embeddings": 32768},
        {"rms_norm_eps": 1e-5},
        {"sliding_window": 512},
        {"eos_token_id": [1, 2], "use_cache": False, "dtype": "float16"},
        {"transformers_version": "4.40.0", "attention_dropout": 0.1},
    ],
)
def test_siblings_may_differ_in_what_gives_weights_no_meaning(change):
    assert plan_spec(LLAMA, {**LLAMA, **change}).config == LLAMA


def test_what_a_plan_does_not_know_yet_is_no_difference():
    expected = {"model_type": "llama", **SIZES}
    rotary = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0}
    written = {**LLAMA, "head_dim": 16, "hidden_act": "gelu", "rope_parameters": rotary}
    assert plan_spec(expected, written).config == expected
    assert plan_spec(written, expected).config == written


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    """Two siblings of which the second stores the head beside the embedding that it is tied to."""
    folder = tmp_path_factory.mktemp("tied")
    one, two = (
        make_checkpoint(folder / name, "qwen2", seed=seed, tie_word_embeddings=True)
        for seed, name in enumerate("ab")
    )
    return one, with_tensors(two, folder / "c", {"lm_head.weight": "model.embed_tokens.weight"})


def with_tensors(model, folder, copies, change=lambda tensor: tensor):
    """A copy that holds some tensors a second time, changed, under other names."""
    tensors = load_file(model.directory / "model.safetensors")
    tensors |= {name: change(tensors[source].clone()) for name, source in copies.items()}
    folder.mkdir()
    model.copy_companions(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return Checkpoint(folder)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "merger", [Slerp(t=0.3), Linear(), TaskArithmetic(), Ties()], ids=lambda m: type(m).__name__
)
def test_a_tied_head_that_one_model_stores_is_left_out(tied, tmp_path, merger, order):
    first, second = tied[::order]
    inputs = [[first, second]] if isinstance(merger, Slerp | Linear) else [first, [second]]
    facts = [
        [m.spec() for m in given] if isinstance(given, list) else given.spec() for given in inputs
    ]
    merged = merger.run(make_stage(tmp_path), *inputs)
    assert merged.headers() == tied[0].headers()
    assert merged.spec() == merger.plan_spec(*facts)
    network = merged.load()
    assert network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()


def test_a_store_keeps_the_sum_without_the_head(kept, tied):
    merged = kept.merge(Slerp(t=0.3), [kept.adopt(model) for model in tied[::-1]])
    assert merged.weighted_sum() and merged.headers() == tied[0].headers()
    assert merged.load().lm_head.weight.shape == (262, 32)


def test_a_tied_head_that_all_store_stays(tied, tmp_path):
    merged = Linear().run(make_stage(tmp_path), [tied[1], tied[1]])
    head, embedding = (merged.tensor(f"{n}.weight") for n in ("lm_head", "model.embed_tokens"))
    assert torch.equal(head, embedding)
    assert merged.spec() == Linear().plan_spec([tied[1].spec()] * 2)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("merger", [Slerp(t=0.3), Linear()], ids=lambda m: type(m).__name__)
def test_frequencies_that_one_model_stores_are_left_out(tied, tmp_path, merger, order):
    """Checkpoints of 2023 hold the rotary frequencies of every layer, which engines compute."""
    source = "model.layers.0.self_attn.q_proj.weight"
    name = "model.layers.{}.self_attn.rotary_emb.inv_freq"
    copies = {name.format(layer): source for layer in range(2)}
    old = with_tensors(tied[1], tmp_path / "old", copies, lambda tensor: tensor[0, :4].float())
    given = [tied[0], old][::order]
    merged = merger.run(make_stage(tmp_path), given)
    assert merged.headers() == tied[0].headers()
    assert merged.spec() == merger.plan_spec([model.spec() for model in given])
    settings = {"method": "slerp", "base": 1, "parameters": {"t": 0.3}, "seed": 0}
    by_yaml = MergeYaml(**settings)
    result = by_yaml.run(make_stage(tmp_path / "yaml"), given)
    assert result.headers() == tied[0].headers()
    assert result.spec() == by_yaml.plan_spec([model.spec() for model in given])


def test_a_head_that_differs_from_the_embedding_is_not_left_out(tied, tmp_path):
    copies = {"lm_head.weight": "model.embed_tokens.weight"}
    other = with_tensors(tied[0], tmp_path / "other", copies, torch.neg)
    with pytest.raises(InputError, match=r"ties the head .* a lm_head\.weight that differs"):
        run_component(Slerp(), make_stage(tmp_path), [tied[0], other])


def test_tensors_that_no_config_asks_for_are_told_apart_by_their_number(models, tmp_path):
    other = with_tensors(models[1], tmp_path / "other", {"model.extra": "model.norm.weight"})
    message = "the second model stores 32 parameters besides those of its config.json"
    with pytest.raises(InputError, match=message):
        Slerp().plan_spec([models[0].spec(), other.spec()])


def test_a_merge_of_different_rotary_bases_ends_before_a_byte(models, tmp_path):
    other = with_tensors(models[1], tmp_path / "other", {})
    config = {**other.config(), "rope_theta": 1e6}
    del config["rope_parameters"]
    (other.directory / "config.json").write_text(json.dumps(config))
    stage = make_stage(tmp_path)
    with pytest.raises(InputError, match=r"rope_theta is 10000.0 in one, 1000000.0 in the other"):
        run_component(Linear(), stage, [models[0], other])
    assert not any(stage.directory.iterdir())
