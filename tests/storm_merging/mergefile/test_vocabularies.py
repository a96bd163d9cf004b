"""Parents with other vocabularies than the base, against mergekit."""

from __future__ import annotations

import pytest
import torch

from storm_exp.testing import run
from storm_models.checkpoint.checkpoint import Checkpoint
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


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request, tmp_path_factory):
    """A base with a token of its own; one parent with others in its place, one that is padded."""
    folder = tmp_path_factory.mktemp(request.param)
    sizes = {"dtype": "float32", "tie_word_embeddings": request.param == "qwen2"}
    kinds = {
        "base": (("<base>", "shared"), {}),
        "one": (("shared", "<one>", "<other>"), {}),
        "two": (("<base>", "shared"), {"vocab_size": 288}),
    }
    for seed, (name, (tokens, more)) in enumerate(kinds.items()):
        make_checkpoint(
            folder / name, request.param, extra_tokens=tokens, seed=seed, **sizes, **more
        )
    return folder


@pytest.mark.parametrize("method", ["linear", "ties", "model_stock"])
def test_rows_follow_the_tokens_of_the_base(folder, tmp_path, method):
    file = tmp_path / "merge.yaml"
    text = YAML.format(folder=folder, method=method)
    if method == "linear":
        text = f"{text}parameters: {{weight: 0.3}}\n"
    file.write_text(text, encoding="utf-8")
    merged = ours(file, tmp_path / "ours")
    assert_one_rounding_apart(merged, mergekits(file, tmp_path / "mergekit"))
    base = Checkpoint(folder / "base")
    assert merged.spec().tokenizer == base.spec().tokenizer
    assert merged.config()["vocab_size"] == base.config()["vocab_size"]


def test_a_run_tells_which_tokens_were_missing(folder, tmp_path):
    file = tmp_path / "merge.yaml"
    file.write_text(YAML.format(folder=folder, method="ties"), encoding="utf-8")
    done = run(tmp_path, "recipe=merge_yaml", f"merge.file={file}")
    assert done.code == 0, done.error
    assert "model 1 lacks 1 tokens ('<base>'" in done.err
    file.write_text(file.read_text().replace("tokenizer_source: base", ""), encoding="utf-8")
    refused = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert "cannot be merged: vocab_size is" in refused.error


def test_a_token_that_a_parent_lacks_has_the_row_of_the_base(folder, tmp_path):
    text = YAML.format(folder=folder, method="linear")
    file = tmp_path / "merge.yaml"
    file.write_text(
        text.replace("weight: 0.5", "weight: 1").replace("weight: 0.4", "weight: 0")
        + "parameters: {weight: 0}\n",
        encoding="utf-8",
    )
    merged = ours(file, tmp_path / "ours")
    base, one = (Checkpoint(folder / name) for name in ("base", "one"))
    ids, own = (model.tokenizer().get_vocab() for model in (base, one))
    name = "model.embed_tokens.weight"
    found = merged.tensor(name)
    expected = base.tensor(name)[ids["<base>"]].bfloat16()
    assert torch.equal(found[ids["<base>"]], expected)
    expected = one.tensor(name)[own["shared"]].bfloat16()
    assert torch.equal(found[ids["shared"]], expected)
