"""Which files of a folder belong to a checkpoint, for keys, training, merging and copying alike."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_export.bf16 import Bf16
from storm_merging.methods.slerp import Slerp
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.folder.files import checkpoint_files
from storm_models.sources.path import Path
from storm_models.testing import make_checkpoint
from storm_training.loop.finetuned_checkpoint import write_checkpoint
from storm_training.trainable.snr_scanner import SnrScanner

INDEX = "model.safetensors.index.json"


@pytest.fixture
def twofold(tmp_path):
    """A folder with a single file, and an index with complete shards of other values."""
    folder = make_checkpoint(tmp_path / "model", seed=0).directory
    network = make_checkpoint(tmp_path / "other", seed=1).load()
    network.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    for file in (tmp_path / "shards").glob("model*safetensors*"):
        shutil.copyfile(file, folder / file.name)
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def indexed(tmp_path, **content):
    """Return a folder of one shard whose index says `content`."""
    folder = make_checkpoint(tmp_path / "indexed").directory
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    names = load_file(folder / "a.safetensors")
    usual = {"metadata": {}, "weight_map": dict.fromkeys(names, "a.safetensors")}
    (folder / INDEX).write_text(json.dumps({**usual, **content}))
    return folder


def test_the_single_file_is_read_everywhere(twofold, tmp_path, digests):
    right = load_file(twofold / "model.safetensors")
    model = Path(path=str(twofold)).run(make_stage(tmp_path, "adopted"))
    theirs = AutoModelForCausalLM.from_pretrained(twofold, dtype="auto").state_dict()
    assert all(torch.equal(theirs[name], right[name]) for name in right)

    def holds(tensors):
        return all(torch.equal(tensor, right[name]) for name, tensor in tensors)

    assert holds(model.tensors())
    assert holds(model.load().state_dict().items())
    plain = make_checkpoint(tmp_path / "plain", seed=0)
    assert Slerp(t=0.0).run(make_stage(tmp_path, "merged"), [model, plain]).spec().parameters
    assert holds(Checkpoint(tmp_path / "merged").tensors())
    assert holds(Bf16().run(make_stage(tmp_path, "bf16"), model).tensors())
    network = model.load("float32")
    stage = make_stage(tmp_path, "trained")
    trained = write_checkpoint(model, network, {"model.norm.weight"}, stage.directory)
    assert holds(trained.tensors())
    assert INDEX not in trained.files()
    tables = [
        SnrScanner().run(make_stage(tmp_path, name), each)
        for name, each in (("scan", model), ("scan-plain", plain))
    ]
    assert tables[0].modules() == tables[1].modules()


def test_keys_hold_what_is_read_and_nothing_else(twofold, digests):
    component = Path(path=str(twofold))
    before = component.fingerprint(digests)
    assert not any("index" in name or "-of-" in name for name in before)
    shard = next(twofold.glob("*-of-*.safetensors"))
    save_file({"other": torch.zeros(3)}, shard)
    assert component.fingerprint(digests) == before


def test_what_is_passed_over_is_said(twofold, tmp_path, capsys):
    (note,) = Path(path=str(twofold)).notes()
    assert "model.safetensors is read and model.safetensors.index.json is not" in note
    Path(path=str(twofold)).run(make_stage(tmp_path))
    assert note in capsys.readouterr().err
    (twofold / INDEX).unlink()
    assert not Path(path=str(twofold)).notes()
    (twofold / "additional_chat_templates").mkdir()
    (twofold / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools }}")
    (note,) = Path(path=str(twofold)).notes()
    assert "additional_chat_templates: tool_use.jinja is not read" in note


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"weight_map": None}, "no weight_map"),
        ({"weight_map": {}}, "no weight_map"),
        ({"weight_map": ["a.safetensors"]}, "no weight_map"),
        ({"weight_map": {"x": 3}}, "weight_map puts x in 3"),
        ({"weight_map": {"x": "../a.safetensors"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "/etc/a.safetensors"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "b/a.safetensors"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "b\\a.safetensors"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "a\0.safetensors"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "passwords.txt"}}, "not the name of a safetensors file"),
        ({"weight_map": {"x": "b.safetensors"}}, r"no b\.safetensors"),
        ({"metadata": None}, "no metadata"),
    ],
)
def test_an_odd_index_is_refused(content, problem, tmp_path):
    folder = indexed(tmp_path, **content)
    with pytest.raises(InputError, match=problem):
        Path(path=str(folder)).plan_spec()


def test_an_index_without_weight_map_is_refused(tmp_path):
    folder = indexed(tmp_path)
    (folder / INDEX).write_text('{"metadata": {}}')
    for read in (Path(path=str(folder)).plan_spec, Checkpoint(folder).headers):
        with pytest.raises(InputError, match="no weight_map"):
            read()


def test_weights_by_another_name_are_refused(tmp_path):
    folder = make_checkpoint(tmp_path / "model").directory
    config = json.loads((folder / "config.json").read_text())
    config["transformers_weights"] = "other.safetensors"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="transformers_weights"):
        Path(path=str(folder)).plan_spec()


def test_a_link_out_of_the_folder_is_neither_read_nor_copied(tmp_path, digests):
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    folder = make_checkpoint(tmp_path / "model").directory
    (folder / "merges.txt").symlink_to(secret)
    (tmp_path / "copy").mkdir()
    component = Path(path=str(folder))
    for use in (
        component.plan_spec,
        lambda: component.fingerprint(digests),
        lambda: Checkpoint(folder).copy_companions(tmp_path / "copy"),
        Checkpoint(folder).files,
        Checkpoint(folder).tokenizer,
        Checkpoint(folder).load,
    ):
        with pytest.raises(InputError, match=r"merges\.txt is a link out of the folder"):
            use()
    assert not (tmp_path / "copy" / "merges.txt").exists()


def test_links_inside_the_folder_belong_to_it(tmp_path):
    folder = make_checkpoint(tmp_path / "model").directory
    (folder / "inner").mkdir()
    (folder / "tokenizer.json").rename(folder / "inner" / "kept.json")
    (folder / "tokenizer.json").symlink_to("inner/kept.json")
    assert "tokenizer.json" in checkpoint_files(folder).companions


def test_the_hubs_cache_links_to_its_blobs(tmp_path):
    repository = tmp_path / "models--a--b"
    snapshot = repository / "snapshots" / "c0ffee"
    made = make_checkpoint(tmp_path / "model")
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, name in enumerate(made.files()):
        (made.directory / name).rename(repository / "blobs" / f"{number:040d}")
        (snapshot / name).symlink_to(f"../../blobs/{number:040d}")
    assert Path(path=str(snapshot)).plan_spec().parameters
    (tmp_path / "secret").write_text("{}")
    (snapshot / "special_tokens_map.json").unlink(missing_ok=True)
    (snapshot / "special_tokens_map.json").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="link out of the folder"):
        Path(path=str(snapshot)).plan_spec()


def test_weights_may_lie_elsewhere(tmp_path):
    folder = make_checkpoint(tmp_path / "model").directory
    (folder / "model.safetensors").rename(tmp_path / "large.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "large.safetensors")
    assert Path(path=str(folder)).plan_spec().parameters


def test_a_sum_beside_weights_is_not_what_is_read(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    (model.directory / "weighted_sum.json").write_text('{"format": 1, "parents": [], "tensors": 3}')
    assert Checkpoint(model.directory).headers() == model.headers()
