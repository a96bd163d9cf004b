"""Every example against mergekit's own merge of the same file."""

from __future__ import annotations

import itertools

import pytest
import torch

from storm_merging.mergefile.method_table import METHODS
from storm_models.checkpoint.checkpoint import Checkpoint

from .conftest import EXAMPLES, mergekits, ours

RANDOM = ("dare_linear", "dare_ties", "della", "della_linear")
DEEPER = ("passthrough", "passthrough_scaled", "ties_slices")
"""Examples that change the depth: mergekit 0.1.5 with transformers 5 breaks on lists by layer."""
EVERYWHERE = ("slerp_by_layer", "ties", "model_stock")
"""Examples that are compared in every family."""


def cases() -> list[tuple[str, str]]:
    """Return (example, family), the families in turn."""
    fixed = sorted({file.stem for file in EXAMPLES.glob("*.yaml")} - {*RANDOM, *DEEPER})
    turns = list(zip(fixed, itertools.cycle(("llama", "mistral", "qwen2", "gemma2")), strict=False))
    turns += zip(DEEPER, ("llama", "mistral", "llama"), strict=True)
    return list(dict.fromkeys([*turns, *itertools.product(EVERYWHERE, ("qwen2", "gemma2"))]))


def assert_one_rounding_apart(
    merged: Checkpoint, expected: dict[str, torch.Tensor], share: float = 0.0
) -> None:
    """Fail unless all tensors agree to one rounding of their dtype, but for a `share` of each."""
    ours = dict(merged.tensors())
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        other = expected[name]
        assert tensor.dtype == other.dtype, name
        assert tensor.shape == other.shape, name
        largest = torch.maximum(tensor.abs(), other.abs()).double()
        allowed = torch.finfo(tensor.dtype).eps * largest + 1e-7
        apart = (tensor.double() - other.double()).abs() > allowed
        assert float(apart.double().mean()) <= share, (name, int(apart.sum()))


@pytest.mark.parametrize(("name", "kind"), cases())
def test_an_example_gives_mergekits_tensors(name, kind, family, example, tmp_path):
    file = example(name, family(kind))
    merged = ours(file, tmp_path / "ours")
    # Importance is a small difference of logarithms, in which fp32 decides beside the threshold.
    share = 5e-3 if name == "arcee_fusion" else 0.0
    assert_one_rounding_apart(merged, mergekits(file, tmp_path / "mergekit"), share)


def test_a_merge_can_be_loaded(family, example, tmp_path):
    merged = ours(example("passthrough", family("gemma2")), tmp_path)
    assert merged.load().config.num_hidden_layers == 8
    kinds = Checkpoint(family("gemma2") / "one").config()["layer_types"]
    assert merged.config()["layer_types"] == [*kinds[:3], *kinds[1:3], *kinds[1:]]


def test_there_is_an_example_of_every_method():
    texts = [file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*.yaml")]
    used = {
        line.split()[1] for text in texts for line in text.splitlines() if "merge_method" in line
    }
    assert used == set(METHODS)
    assert len(texts) >= 20
