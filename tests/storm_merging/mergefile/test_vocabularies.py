"""Parents with other vocabularies than the base, against mergekit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from storm_exp import InputError
from storm_exp.testing import run
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.folder.json_file import read_json
from storm_models.testing import make_checkpoint

from .conftest import mergekits, ours
from .test_against_mergekit import assert_one_rounding_apart

YAML = """
models:
  - model: {folder}/one
    parameters: {{weight: 0.5, density: 0.6}}
  - model: {folder}/two
    parameters: {{weight: 0.4, density: 0.7}}
merge_method: {method}
base_model: {folder}/base
tokenizer_source: base
dtype: float32
out_dtype: bfloat16
"""
LINEAR = """
models:
  - {{model: {folder}/one, parameters: {{weight: 0.5}}}}
  - {{model: {folder}/two, parameters: {{weight: 0.4}}}}
  - {{model: {folder}/base, parameters: {{weight: 0.3}}}}
merge_method: linear
dtype: float32
out_dtype: bfloat16
"""
TOKENS = """
base_model: {folder}/base
tokenizer:
  source: {folder}/one
  pad_to_multiple_of: 16
  tokens:
    <one>: {{source: {folder}/one, force: true}}
    shared: {{source: {{kind: model_token, model: {folder}/two, token: <base>}}, force: true}}
    <other>: {{source: {{kind: zero}}}}
    <new>: {{source: {{kind: model_token, model: {folder}/base, token_id: 7}}}}
"""
SECTIONS = {
    "union": (YAML.replace("tokenizer_source: base", "tokenizer_source: union"), "ties"),
    "a model's": (
        YAML.replace("source: base", "source: {folder}/one"),
        "task_arithmetic",
    ),
    "union without base": (LINEAR + "tokenizer: {{source: union, pad_to_multiple_of: 32}}\n", ""),
    "tokens": (LINEAR + TOKENS, ""),
}


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request, tmp_path_factory):
    """A base with a token of its own; one parent with others in its place, one that is padded."""
    return models(tmp_path_factory.mktemp("models"), request.param, request.param == "qwen2")


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def llamas(request, tmp_path_factory):
    """The same models as llamas: transformers puts a token of its own into Qwen2's tokenizers."""
    return models(tmp_path_factory.mktemp("llamas"), "llama", request.param)


def models(folder: Path, family: str, tied: bool) -> Path:
    sizes = {"dtype": "float32", "tie_word_embeddings": tied}
    kinds = {
        "base": (("<base>", "shared"), {}),
        "one": (("shared", "<one>", "<other>"), {}),
        "two": (("<base>", "shared"), {"vocab_size": 288}),
    }
    for seed, (name, (tokens, more)) in enumerate(kinds.items()):
        make_checkpoint(folder / name, family, extra_tokens=tokens, seed=seed, **sizes, **more)
    return folder


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "merge.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def assert_same_by_token(merged: Checkpoint, theirs: Path, expected: dict[str, torch.Tensor]):
    """Fail unless tokens and tensors are mergekit's; its union has its tokens in any order."""
    ids = [AutoTokenizer.from_pretrained(each).get_vocab() for each in (merged.directory, theirs)]
    assert ids[0].keys() == ids[1].keys()
    order = list(range(len(expected[EMBEDDING])))
    for token, place in ids[0].items():
        order[place] = ids[1][token]
    by_token = {
        name: tensor[order] if name in (EMBEDDING, HEAD) else tensor
        for name, tensor in expected.items()
    }
    assert_one_rounding_apart(merged, by_token)
    assert merged.config()["vocab_size"] == read_json(theirs / "config.json")["vocab_size"]


@pytest.mark.parametrize("method", ["linear", "ties", "model_stock"])
def test_rows_follow_the_tokens_of_the_base(folder, tmp_path, method):
    text = YAML.format(folder=folder, method=method)
    if method == "linear":
        text = f"{text}parameters: {{weight: 0.3}}\n"
    file = write(tmp_path, text)
    merged = ours(file, tmp_path / "ours")
    assert_one_rounding_apart(merged, mergekits(file, tmp_path / "mergekit"))
    base = Checkpoint(folder / "base")
    assert merged.spec().tokenizer == base.spec().tokenizer
    assert merged.config()["vocab_size"] == base.config()["vocab_size"]


@pytest.mark.parametrize("section", SECTIONS)
def test_tokens_are_joined_and_filled_as_mergekit_does(llamas, tmp_path, section):
    text, method = SECTIONS[section]
    file = write(tmp_path, text.format(folder=llamas, method=method))
    merged = ours(file, tmp_path / "ours")
    theirs = tmp_path / "mergekit"
    assert_same_by_token(merged, theirs, mergekits(file, theirs))
    assert merged.load().config.vocab_size == len(merged.tensor(EMBEDDING))
    told = read_json(merged.directory / "merge.json")["vocabulary"]
    assert told["rows"] == merged.config()["vocab_size"]
    assert told["filled"]


TWO = """
models:
  - {{model: {one}, parameters: {{weight: 0.6}}}}
  - {{model: {other}, parameters: {{weight: 0.4}}}}
merge_method: linear
dtype: float32
out_dtype: bfloat16
"""


def test_a_tied_parent_has_its_embedding_as_head(tmp_path):
    one = make_checkpoint(tmp_path / "untied", tie_word_embeddings=False)
    other = make_checkpoint(tmp_path / "tied", tie_word_embeddings=True, seed=1)
    file = write(tmp_path, TWO.format(one=one.directory, other=other.directory))
    merged = ours(file, tmp_path / "ours")
    assert_one_rounding_apart(merged, mergekits(file, tmp_path / "mergekit"))
    assert not merged.load().config.tie_word_embeddings
    # mergekit stores this head, and has the config of the first model, which ties it.
    file = write(tmp_path, TWO.format(one=other.directory, other=one.directory))
    merged = ours(file, tmp_path / "turned")
    assert not merged.load().config.tie_word_embeddings
    expected = 0.6 * other.tensor(EMBEDDING).float() + 0.4 * one.tensor(HEAD).float()
    assert torch.equal(merged.tensor(HEAD), expected.bfloat16())


def test_padding_of_one_parent_is_left_out(tmp_path):
    """Rows follow the tokens without a word in the file: mergekit refuses the shapes."""
    one = make_checkpoint(tmp_path / "one")
    padded = make_checkpoint(tmp_path / "padded", seed=1, vocab_size=320)
    file = write(tmp_path, TWO.format(one=one.directory, other=padded.directory))
    merged = ours(file, tmp_path / "ours")
    expected = 0.6 * one.tensor(EMBEDDING).float()
    expected += 0.4 * padded.tensor(EMBEDDING)[: len(expected)].float()
    assert torch.equal(merged.tensor(EMBEDDING), expected.bfloat16())
    told = read_json(merged.directory / "merge.json")["vocabulary"]
    assert told["rows"] == len(expected)


def test_a_renamed_token_is_named_and_joined(tmp_path):
    one = make_checkpoint(tmp_path / "one", extra_tokens=("<reserved_0>",))
    other = make_checkpoint(tmp_path / "other", extra_tokens=("<tool>",), seed=1)
    text = TWO.format(one=one.directory, other=other.directory)
    with pytest.raises(InputError, match=r"row 262 of .* is the token '<reserved_0>' in one"):
        ours(write(tmp_path, text), tmp_path / "refused")
    merged = ours(write(tmp_path, f"{text}tokenizer_source: union\n"), tmp_path / "union")
    rows = merged.tensor(EMBEDDING)
    ids = merged.tokenizer().get_vocab()
    assert torch.equal(rows[ids["<reserved_0>"]], one.tensor(EMBEDDING)[262])
    assert torch.equal(rows[ids["<tool>"]], other.tensor(EMBEDDING)[262])


def test_a_chat_template_is_written(tmp_path):
    one = make_checkpoint(tmp_path / "one")
    other = make_checkpoint(tmp_path / "other", seed=1)
    text = TWO.format(one=one.directory, other=other.directory)
    file = write(tmp_path, f"{text}chat_template: mistral\n")
    done = run(tmp_path, "recipe=merge_yaml", f"merge.file={file}")
    assert done.code == 0, done.error
    merged = tmp_path / "outputs/latest/merger"
    assert "[INST]" in (merged / "chat_template.jinja").read_text(encoding="utf-8")
    file.write_text(f"{text}chat_template: mistrel\n", encoding="utf-8")
    done = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert "did you mean 'mistral'" in done.error


def test_special_tokens_are_those_of_the_tokenizer(llamas, tmp_path):
    """The base's config names a row that is another token's in the merge."""
    moved = make_checkpoint(
        tmp_path / "moved", "llama", extra_tokens=("<base>",), dtype="float32", eos_token_id=5
    )
    text = LINEAR.replace("{folder}/two", str(moved.directory))
    file = write(tmp_path, text.format(folder=llamas) + f"tokenizer_source: {moved.directory}\n")
    merged = ours(file, tmp_path / "ours")
    assert merged.config()["eos_token_id"] == 5
    assert merged.spec().tokenizer == moved.spec().tokenizer


def test_a_run_tells_which_tokens_were_missing(folder, tmp_path):
    file = write(tmp_path, YAML.format(folder=folder, method="ties"))
    done = run(tmp_path, "recipe=merge_yaml", f"merge.file={file}")
    assert done.code == 0, done.error
    assert "model 1 lacks 1 tokens ('<base>'), for which it has the rows of model 3" in done.err
    file.write_text(file.read_text().replace("tokenizer_source: base", ""), encoding="utf-8")
    refused = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert "model 3 and model 1 cannot be merged row by row: row 262 of" in refused.error
    problem = "model.embed_tokens.weight is the token '<base>' in one, the token 'shared' in the"
    assert problem in refused.error
    assert "write tokenizer_source: base or union" in refused.error


def test_a_token_that_a_parent_lacks_has_the_row_of_the_base(folder, tmp_path):
    text = YAML.format(folder=folder, method="linear")
    file = write(
        tmp_path,
        text.replace("weight: 0.5", "weight: 1").replace("weight: 0.4", "weight: 0")
        + "parameters: {weight: 0}\n",
    )
    merged = ours(file, tmp_path / "ours")
    base, one = (Checkpoint(folder / name) for name in ("base", "one"))
    ids, own = (model.tokenizer().get_vocab() for model in (base, one))
    found = merged.tensor(EMBEDDING)
    expected = base.tensor(EMBEDDING)[ids["<base>"]].bfloat16()
    assert torch.equal(found[ids["<base>"]], expected)
    expected = one.tensor(EMBEDDING)[own["shared"]].bfloat16()
    assert torch.equal(found[ids["shared"]], expected)
