import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    GemmaTokenizer,
    GPT2Tokenizer,
    LlamaTokenizer,
    Qwen2Tokenizer,
)

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
TOKENS = ["<unk>", "<s>", "</s>", "<pad>", "<eos>", "<bos>", "<|endoftext|>", "▁", "a", "b", "ab"]
PIECES = {token: place for place, token in enumerate(TOKENS)}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sharded")
    model = make_checkpoint(directory, "qwen2", tie_word_embeddings=True).load()
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="20KB")
    return Checkpoint(directory)


def test_tensors_of_sharded_checkpoints_are_those_of_the_model(sharded):
    assert len(sharded.weight_files()) > 1
    state = sharded.load().state_dict()
    state.pop("lm_head.weight")
    tensors = dict(sharded.tensors())
    assert tensors.keys() == state.keys() == sharded.headers().keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(sharded.tensor(name), state[name])
    with pytest.raises(KeyError):
        sharded.tensor("model.layers.9.mlp.down_proj.weight")


def test_a_tied_head_counts_once(sharded):
    model = sharded.load()
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert sharded.spec().parameters == sum(p.numel() for p in model.parameters())


def test_the_files_of_a_checkpoint_are_no_others(sharded):
    (sharded.directory / "optimizer.pt").write_bytes(b"x")
    files = sharded.files()
    assert "optimizer.pt" not in files
    assert {"config.json", "tokenizer.json", "model.safetensors.index.json"} <= set(files)


def test_a_missing_shard_is_named(sharded, tmp_path):
    for name in sharded.files()[:-1]:
        shutil.copyfile(sharded.directory / name, tmp_path / name)
    with pytest.raises(InputError, match=sharded.weight_files()[-1].name):
        Checkpoint(tmp_path).headers()


def test_a_tokenizer_saved_again_has_the_same_digest(tmp_path):
    first = make_checkpoint(tmp_path / "a")
    again = tmp_path / "b"
    tokenizer = first.tokenizer()
    tokenizer("padding settings end up in the file", padding="max_length", max_length=20)
    tokenizer.save_pretrained(again)
    text = json.loads((again / "tokenizer.json").read_text())
    (again / "tokenizer.json").write_text(json.dumps(text))
    assert (again / "tokenizer.json").read_bytes() != (
        first.directory / "tokenizer.json"
    ).read_bytes()
    assert Checkpoint(again).tokenizer_digest() == first.tokenizer_digest()


def test_a_tokenizer_with_another_token_has_another_digest(tmp_path):
    first = make_checkpoint(tmp_path / "a")
    second = make_checkpoint(tmp_path / "b", extra_tokens=("another",))
    assert first.tokenizer_digest() != second.tokenizer_digest()


def test_how_a_text_is_framed_or_cut_gives_no_token_another_meaning(tmp_path):
    """Siblings are saved with and without BOS, and by versions that spell their steps otherwise."""
    first, second = (make_checkpoint(tmp_path / name) for name in "ab")
    file = second.directory / "tokenizer.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"post_processor": BYTES, "normalizer": {"type": "NFC"}}))
    assert first.tokenizer_digest() == second.tokenizer_digest()


@pytest.mark.parametrize("family", [LlamaTokenizer, Qwen2Tokenizer, GemmaTokenizer, GPT2Tokenizer])
def test_tokenizers_of_every_family_keep_their_digest(tmp_path, family):
    family(vocab=PIECES, merges=[("a", "b")]).save_pretrained(tmp_path / "a")
    for before, after in ("ab", "bc"):
        again = AutoTokenizer.from_pretrained(tmp_path / before)
        again("ab a", truncation=True, max_length=2)
        again.save_pretrained(tmp_path / after)
    digests = {Checkpoint(tmp_path / name).tokenizer_digest() for name in "abc"}
    assert len(digests) == 1


def test_sentencepieces_spaces_may_be_written_in_two_ways(tmp_path):
    """Models of 2023 have them in the normaliser; transformers 5 converts them on loading."""
    LlamaTokenizer(vocab=PIECES, merges=[("a", "b")]).save_pretrained(tmp_path / "a")
    file = tmp_path / "a" / "tokenizer.json"
    normal = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    content = json.loads(file.read_text()) | {
        "normalizer": {"type": "Sequence", "normalizers": normal},
        "pre_tokenizer": None,
    }
    file.write_text(json.dumps(content))
    AutoTokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    again = json.loads((tmp_path / "b" / "tokenizer.json").read_text())
    assert again["pre_tokenizer"] != content["pre_tokenizer"]
    one, two = (Checkpoint(tmp_path / name).tokenizer_digest() for name in "ab")
    assert one == two


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    checkpoint = make_checkpoint(tmp_path)
    tensors = dict(checkpoint.tensors())
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack model\.layers\.1\.mlp\.up_proj\.weight"):
        Checkpoint(tmp_path).load()


def test_loading_is_quiet(tmp_path, capfd):
    checkpoint = make_checkpoint(tmp_path)
    capfd.readouterr()
    checkpoint.load()
    assert capfd.readouterr() == ("", "")
