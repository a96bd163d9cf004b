"""Depth up-scaling and block expansion, over six families."""

import copy
import itertools
import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from families import FAMILIES, MISTRAL_7B, family_checkpoint
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.header import read_header
from storm_models.testing import make_checkpoint

SIX = [family for family in FAMILIES if family != "phi3"]
IDS = torch.randint(6, 200, (2, 24), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=SIX)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return family_checkpoint(folder, request.param, num_hidden_layers=5, dtype="bfloat16")


def logits(network):
    with torch.no_grad():
        return network(IDS, use_cache=False).logits


def rearranged(checkpoint, sources):
    """The model in memory with its layers repeated, as somebody would do it by hand."""
    network = checkpoint.load("float32")
    layers = [copy.deepcopy(network.model.layers[source]) for source in sources]
    network.model.layers = torch.nn.ModuleList(layers)
    network.config.num_hidden_layers = len(sources)
    if getattr(network.config, "layer_types", None):
        kinds = network.config.layer_types
        network.config.layer_types = [kinds[source] for source in sources]
    return network


def test_up_scaled_models_reload_and_compute_what_the_repeated_layers_do(model, tmp_path):
    merger = DepthUpscale(m=1)
    result = merger.run(make_stage(tmp_path), model)
    expected = logits(rearranged(model, [0, 1, 2, 3, 1, 2, 3, 4]))
    assert torch.equal(logits(result.load("float32")), expected)
    assert not torch.allclose(expected, logits(model.load("float32")), atol=1e-3)
    assert result.spec() == merger.plan_spec(model.spec())
    record = json.loads((result.directory / "surgery.json").read_text())
    assert record == {"source_layers": [0, 1, 2, 3, 1, 2, 3, 4], "new_layers": [4, 5, 6]}


def test_expanded_models_compute_what_they_did_before(model, tmp_path):
    merger = BlockExpand(every=2)
    result = merger.run(make_stage(tmp_path), model)
    assert torch.equal(logits(result.load("float32")), logits(model.load("float32")))
    assert result.spec() == merger.plan_spec(model.spec())
    record = json.loads((result.directory / "surgery.json").read_text())
    assert record == {"source_layers": [0, 1, 1, 2, 3, 3, 4], "new_layers": [2, 5]}


def test_an_expanded_model_leaves_its_function_in_small_steps(model, tmp_path):
    """What is zero gets a gradient, and a step of training moves the logits by little."""
    network = BlockExpand(every=2).run(make_stage(tmp_path), model).load("float32")
    before = logits(network)
    new = [p for layer in (2, 5) for p in network.model.layers[layer].parameters()]
    optimizer = torch.optim.AdamW(new, lr=1e-4, weight_decay=0.0)
    network(IDS, labels=IDS, use_cache=False).loss.backward()
    optimizer.step()
    moved = float((logits(network) - before).norm() / before.norm())
    assert 0 < moved < 0.02


def test_added_layers_of_a_biased_llama_add_nothing_either(tmp_path):
    model = make_checkpoint(tmp_path / "model", attention_bias=True, mlp_bias=True)
    tensors = {name: torch.randn_like(tensor) for name, tensor in model.tensors()}
    save_file(tensors, model.directory / "model.safetensors", metadata={"format": "pt"})
    result = BlockExpand(every=1).run(make_stage(tmp_path), model)
    assert torch.equal(logits(result.load("float32")), logits(model.load("float32")))


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_up_scaling_equals_mergekit_bit_by_bit(family, tmp_path):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    model = make_checkpoint(tmp_path / "model", family, num_hidden_layers=6)
    ranges = [[0, 4], [2, 6]]
    slices = [{"sources": [{"model": str(model.directory), "layer_range": r}]} for r in ranges]
    config = yaml.safe_dump({"merge_method": "passthrough", "dtype": "bfloat16", "slices": slices})
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(config)),
        str(tmp_path / "mergekit"),
        MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False, clone_tensors=True),
    )
    result = DepthUpscale(m=2).run(make_stage(tmp_path), model)
    expected = load_file(tmp_path / "mergekit" / "model.safetensors")
    ours = load_file(result.directory / "model.safetensors")
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)


def test_repeated_tensors_do_not_share_storage(tmp_path):
    model = make_checkpoint(tmp_path / "model", "qwen2", tie_word_embeddings=True)
    result = DepthUpscale(m=0).run(make_stage(tmp_path), model)
    header = read_header(result.directory / "model.safetensors")
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert all(one[1] == two[0] for one, two in itertools.pairwise(spans))
    network = result.load()
    assert network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()
    first, copied = (network.model.layers[i].mlp.up_proj.weight for i in (0, 2))
    assert torch.equal(first, copied) and first.data_ptr() != copied.data_ptr()


def test_tokenizer_template_and_dtype_are_carried_over(tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float16")
    result = DepthUpscale(m=0).run(make_stage(tmp_path), model)
    assert result.tokenizer().chat_template == model.tokenizer().chat_template
    assert {dtype for dtype, _ in result.headers().values()} == {"F16"}
    assert result.tokenizer_digest() == model.tokenizer_digest()


def test_sharded_models_are_read_like_whole_ones(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    whole = DepthUpscale(m=0).run(make_stage(tmp_path, "whole"), model)
    model.load().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    model.copy_companions(tmp_path / "shards")
    shards = Checkpoint(tmp_path / "shards")
    assert len(shards.weight_files()) > 1
    result = DepthUpscale(m=0).run(make_stage(tmp_path, "result"), shards)
    files = [c.directory / "model.safetensors" for c in (whole, result)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("merger", "message"),
    [
        (DepthUpscale(m=5), "leaves nothing of 5 layers; at most 2"),
        (DepthUpscale(m=9), "leaves nothing of 5 layers"),
        (DepthUpscale(m=3), "duplicates none of 5 layers; at most 2"),
        (BlockExpand(every=6), "more than the model's 5 layers"),
    ],
)
def test_depths_that_make_no_sense_are_refused_at_plan_time(model, merger, message):
    with pytest.raises(SettingError, match=message):
        merger.plan_spec(model.spec())


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="at least 0"):
        DepthUpscale(m=-1)
    with pytest.raises(SettingError, match="at least 1"):
        BlockExpand(every=0)


def test_solar_is_planned_from_the_config_of_its_parent_alone(model):
    from storm_models.checkpoint.spec import CheckpointSpec

    spec = DepthUpscale(m=8).plan_spec(CheckpointSpec(config=MISTRAL_7B))
    assert spec.parameters == 10_731_524_096
    assert spec.config["num_hidden_layers"] == 48


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors: tensors.pop("model.norm.weight"), "the weights lack model.norm.weight"),
        (
            lambda tensors: tensors.update({"model.layers.0.odd": torch.ones(1)}),
            "hold model.layers.0.odd, which config.json does not have",
        ),
        (
            lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}),
            r"model.norm.weight has the shape \[3\], but config.json implies \[32\]",
        ),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused_before_a_byte(tmp_path, damage, message):
    model = make_checkpoint(tmp_path / "model")
    tensors = load_file(model.directory / "model.safetensors")
    damage(tensors)
    save_file(tensors, model.directory / "model.safetensors", metadata={"format": "pt"})
    stage = make_stage(tmp_path)
    with pytest.raises(InputError, match=message):
        run_component(DepthUpscale(m=0), stage, Checkpoint(model.directory))
    assert not any(stage.directory.iterdir())


def test_a_config_that_transformers_refuses_stops_before_a_byte(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    file = model.directory / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "num_hidden_layers": 2, "hidden_act": "small"}))
    stage = make_stage(tmp_path)
    with pytest.raises(InputError, match=r"transformers refuses.*small"):
        run_component(DepthUpscale(m=0), stage, Checkpoint(model.directory))
    assert not any(stage.directory.iterdir())
