"""Merges that a store keeps as sums of their parents, and their written form."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file

from storm_command.checkpoint_command import CheckpointCommand
from storm_evaluation.held_out.held_out import HeldOut
from storm_exp import InputError, StoreError
from storm_exp.testing import make_stage
from storm_export.bf16 import Bf16
from storm_export.fp8_dynamic import Fp8Dynamic
from storm_merging.methods.linear import Linear
from storm_merging.methods.slerp import Slerp
from storm_merging.methods.task_arithmetic import TaskArithmetic
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.sources.path import Path as PathComponent
from storm_models.testing import make_checkpoint
from storm_training.loop.finetuned_checkpoint import write_changed
from storm_training.testing import make_chats


def same_tensors(one, two):
    one, two = dict(one), dict(two)
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and torch.equal(one[name], two[name]) for name in one
    )


def files(checkpoint):
    return {file.name: file.read_bytes() for file in checkpoint.directory.iterdir()}


@pytest.fixture
def merged(kept, models):
    """A merge of two adopted models, as a store keeps it."""
    return kept.merge(Slerp(t=0.3), [kept.adopt(model) for model in models[:2]])


def test_a_merge_in_a_store_holds_no_weights(merged, models):
    assert not list(merged.directory.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in merged.directory.iterdir())
    assert size < models[0].weight_files()[0].stat().st_size
    companions = {name for name in models[0].files() if "safetensors" not in name}
    assert companions <= {file.name for file in merged.directory.iterdir()}


@pytest.mark.parametrize(
    ("family", "dtype", "sizes"),
    [
        ("llama", "bfloat16", {}),
        ("qwen2", "float16", {"tie_word_embeddings": True}),
        ("mistral", "float32", {}),
    ],
)
def test_a_sum_answers_as_the_same_merge_in_files_does(kept, tmp_path, family, dtype, sizes):
    parents = [
        make_checkpoint(tmp_path / name, family, seed=seed, dtype=dtype, **sizes)
        for seed, name in enumerate("ab")
    ]
    in_files = Slerp(t=0.3).run(make_stage(tmp_path), parents)
    merged = kept.merge(Slerp(t=0.3), [kept.copy(parents[0]), kept.adopt(parents[1])])
    assert merged.weighted_sum() and not in_files.weighted_sum()
    assert merged.headers() == in_files.headers()
    assert merged.spec() == in_files.spec()
    assert merged.weight_bytes() == in_files.weight_bytes()
    assert same_tensors(merged.tensors(), in_files.tensors())
    assert torch.equal(merged.tensor("model.norm.weight"), in_files.tensor("model.norm.weight"))
    name = "model.safetensors"
    assert files(kept.materialise(merged))[name] == files(in_files)[name]
    model, expected = merged.load(), in_files.load()
    assert same_tensors(model.state_dict().items(), expected.state_dict().items())
    assert model.dtype == getattr(torch, dtype)
    assert model.generation_config.to_dict() == expected.generation_config.to_dict()
    if sizes:
        assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    single = merged.load("float32").state_dict()
    assert same_tensors(single.items(), in_files.load("float32").state_dict().items())


def test_sharded_parents_add_up_like_whole_ones(kept, merged, models, tmp_path):
    models[1].load().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    models[1].copy_companions(tmp_path / "shards")
    shards = kept.adopt(Checkpoint(tmp_path / "shards"))
    again = kept.merge(Slerp(t=0.3), [kept.adopt(models[0]), shards])
    assert same_tensors(again.tensors(), merged.tensors())


@pytest.mark.parametrize(
    "merger", [Linear(weights=[1.0, 3.0]), Linear(normalise=False)], ids=["weighted", "added"]
)
def test_means_are_kept_as_sums(kept, models, tmp_path, merger):
    merged = kept.merge(merger, [kept.adopt(model) for model in models[:2]])
    in_files = merger.run(make_stage(tmp_path), models[:2])
    assert merged.weighted_sum()
    assert same_tensors(merged.tensors(), in_files.tensors())


def test_differences_to_a_base_are_kept_as_sums(kept, models, tmp_path):
    merger = TaskArithmetic(weights=[0.5, 0.25], scale=2.0)
    base, *others = [kept.adopt(model) for model in models]
    merged = kept.merge(merger, base, others)
    in_files = merger.run(make_stage(tmp_path), models[0], models[1:])
    assert merged.weighted_sum()
    assert same_tensors(merged.tensors(), in_files.tensors())


def test_a_merge_of_merges_is_rounded_at_each(kept, merged, models, tmp_path):
    third = kept.adopt(models[2])
    above = kept.merge(Slerp(t=0.6), [merged, third])
    assert above.weighted_sum()
    expected = Slerp(t=0.6).run(make_stage(tmp_path), [kept.materialise(merged), models[2]])
    assert same_tensors(above.tensors(), expected.tensors())
    assert same_tensors(kept.materialise(above).tensors(), expected.tensors())


def test_another_t_measures_no_angle_again(kept, models):
    parents = [kept.copy(model) for model in models[:2]]
    one = kept.merge(Slerp(t=0.3), parents)
    two = kept.merge(Slerp(t=0.6), parents)
    assert kept.components().count("angles") == 1
    figures = [json.loads((m.directory / "merge.json").read_text()) for m in (one, two)]
    assert figures[0]["slerped"] == figures[1]["slerped"]
    assert not same_tensors(one.tensors(), two.tensors())
    kept.merge(Slerp(t=0.3), parents[::-1])
    assert kept.components().count("angles") == 2


def test_the_written_form_is_written_once(kept, merged):
    assert "written" not in kept.components()
    with ThreadPoolExecutor(4) as pool:
        checkpoints = list(pool.map(lambda _: kept.materialise(merged), range(4)))
    inodes = {(f.directory / "model.safetensors").stat().st_ino for f in checkpoints}
    inodes.add((kept.materialise(merged).directory / "model.safetensors").stat().st_ino)
    assert len(inodes) == 1
    assert kept.components().count("written") == 1
    assert kept.materialise(checkpoints[0]) is checkpoints[0]
    beside = {"weighted_sum.json", "manifest.json"}
    assert files(checkpoints[0]).keys() - {"model.safetensors"} == files(merged).keys() - beside | {
        "manifest.json"
    }
    assert checkpoints[0].weighted_sum() is None


def test_a_damaged_written_form_is_written_again(kept, merged):
    weights = kept.materialise(merged).directory / "model.safetensors"
    expected = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(expected[:-1])
    assert files(kept.materialise(merged))["model.safetensors"] == expected
    assert len(list(kept.store.root.glob("damaged/*"))) == 1


def test_the_written_form_needs_no_parents(kept, models):
    parents = [kept.copy(model) for model in models[:2]]
    merged = kept.merge(Slerp(), parents)
    expected = dict(merged.tensors())
    written = kept.materialise(merged)
    for parent in parents:
        shutil.rmtree(parent.directory)
    assert same_tensors(Checkpoint(written.directory).tensors(), expected)


def test_a_parent_that_is_gone_is_told(kept, models):
    parents = [kept.copy(model) for model in models[:2]]
    merged = kept.merge(Slerp(), parents)
    assert kept.store.find(merged.key).manifest
    shutil.rmtree(parents[1].directory)
    entry = kept.store.find(merged.key)
    assert entry.manifest is None and parents[1].key[:12] in entry.damage
    again = Checkpoint(merged.directory, merged.key)
    for ask in (
        again.load,
        lambda: kept.materialise(again),
        lambda: again.tensor("model.norm.weight"),
    ):
        with pytest.raises(StoreError, match=f"refers to {parents[1].key[:12]}, which is gone"):
            ask()


def test_outside_a_store_a_sum_cannot_be_written(merged, tmp_path):
    shutil.copytree(merged.directory, tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="within its store"):
        Checkpoint(tmp_path / "elsewhere").materialise(make_stage(tmp_path))
    with pytest.raises(
        InputError,
        match="stored as a sum of other models, without weights; run its recipe by itself",
    ):
        PathComponent(path=str(tmp_path / "elsewhere")).plan_spec()


WRITE = """
import sys
from pathlib import Path
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_exp import Runtime
from storm_exp._store.artifact_maker import Maker
from storm_exp._store.store import Store
merged = Checkpoint(Path(sys.argv[1]), sys.argv[2])
maker = Maker(Store(Path(sys.argv[3])), Runtime())
merged.materialise(maker.stage("reader", merged.key, merged.directory))
"""


def test_killed_while_it_writes_the_written_form_is_made_again(kept, tmp_path):
    big = tmp_path / "big"
    big.mkdir()
    (big / "config.json").write_text("{}")
    save_file({"w": torch.linspace(0, 1, 12_000_000)}, big / "model.safetensors")
    parent = kept.adopt(Checkpoint(big))
    merged = kept.merge(_Doubled(), parent)
    command = [sys.executable, "-c", WRITE, str(merged.directory), merged.key, str(kept.store.root)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    unfinished = "artifacts/??/.partial-*/model.safetensors"
    while process.poll() is None and not list(kept.store.root.glob(unfinished)):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(kept.store.root.glob(unfinished)) and "written" not in kept.components()
    assert torch.equal(kept.materialise(merged).tensor("w"), 2 * torch.linspace(0, 1, 12_000_000))
    assert not list(kept.store.root.glob("artifacts/??/.partial-*"))


class _Doubled:
    def run(self, stage, model):
        from storm_merging.parents.merged_checkpoint import merge

        return merge(stage, [model, model], {name: [1.5, 0.5] for name in model.headers()})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("merger", [Slerp(), Linear()], ids=["slerp", "linear"])
def test_nan_in_a_parent_ends_the_merge_and_not_what_follows(kept, models, tmp_path, bad, merger):
    tensors = load_file(models[1].directory / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = bad
    models[1].copy_companions(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    parents = [kept.adopt(models[0]), kept.adopt(Checkpoint(tmp_path))]
    with pytest.raises(InputError, match=r"model\.layers\.1\.mlp\.up_proj\.weight.*NaN"):
        kept.merge(merger, parents)


def test_a_mean_looks_for_nan_once_in_each_model(kept, models):
    parents = [kept.adopt(model) for model in models]
    kept.merge(Linear(), parents)
    kept.merge(Linear(weights=[1.0, 2.0]), parents[:2])
    kept.merge(TaskArithmetic(), parents[0], parents[1:])
    assert kept.components().count("largest_weights") == 3


def test_a_sum_that_overflows_is_told_whoever_asks(kept, tmp_path):
    parent = kept.adopt(make_checkpoint(tmp_path / "a", dtype="float16"))
    merged = kept.merge(Linear(weights=[1e6, 1e6], normalise=False), [parent, parent])
    for ask in (merged.load, lambda: kept.materialise(merged)):
        with pytest.raises(InputError, match=r"\S+\.weight: merging gives .*float16 overflows"):
            ask()
    assert "written" not in kept.components()


def test_an_evaluation_is_the_same_of_a_sum_and_of_its_files(kept, merged, tmp_path):
    data = make_chats(tmp_path / "data")
    payloads = []
    for name, model in (("sum", merged), ("files", kept.materialise(merged))):
        payloads.append(files(HeldOut().run(make_stage(tmp_path, name), model, data)))
    assert payloads[0] == payloads[1]


@pytest.mark.parametrize("compressor", [Bf16(), Fp8Dynamic()], ids=["bf16", "fp8"])
def test_a_compressed_sum_is_its_compressed_files(kept, merged, tmp_path, compressor):
    one = compressor.run(make_stage(tmp_path, "sum"), merged)
    two = compressor.run(make_stage(tmp_path, "files"), kept.materialise(merged))
    assert files(one) == files(two)


def test_changing_a_sum_changes_what_it_adds_up_to(merged, tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"
    change = torch.full(merged.headers()[name][1], 0.25)
    changed = write_changed(merged, {name: change}, tmp_path)
    expected = dict(merged.tensors())
    expected[name] = (expected[name].float() + 0.25).to(torch.bfloat16)
    assert same_tensors(changed.tensors(), expected)


def test_a_program_is_given_files_if_it_asks_for_the_model(kept, merged, models, tmp_path):
    copying = "sh -c 'cp {model}/* {out}'"
    copied = CheckpointCommand(line=copying, seed=0).run(kept.stage("copy"), merged)
    assert same_tensors(copied.tensors(), merged.tensors())
    other = kept.merge(Slerp(t=0.9), [kept.adopt(model) for model in models[:2]])
    line = f"cp -r {tmp_path}/copy/. {{out}}"
    CheckpointCommand(line=line, seed=0).run(kept.stage("other"), other)
    assert kept.components().count("written") == 1
