"""Every example against mergekit's own merge of the same file."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from mergekit.merge_methods import merge_tensors
from safetensors.torch import save_file

from storm_merging.kernels.kernel import Kernel
from storm_merging.layers.choice import kernel
from storm_merging.layers.output_tensor import OutputTensor
from storm_merging.mergefile.method_table import METHODS
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import PER_LAYER_LISTS
from storm_models.families.model_config import by_name

from .conftest import EXAMPLES, mergekits, ours

TENSOR = "model.layers.0.mlp.up_proj.weight"
RANDOM = ("dare_linear", "dare_ties", "della", "della_linear")
DEEPER = ("passthrough", "passthrough_scaled", "ties_slices", "task_arithmetic_slices")
"""Examples that change the depth: mergekit 0.1.5 with transformers 5 breaks on lists by layer."""
UNION = "tokenizer_union"
"""mergekit's union breaks on these small Qwen2: transformers puts a token into their tokenizers."""
EVERYWHERE = ("slerp_by_layer", "ties", "model_stock")
"""Examples that are compared in every family."""


def cases() -> list[tuple[str, str]]:
    """Return (example, family), the families in turn."""
    fixed = sorted({file.stem for file in EXAMPLES.glob("*.yaml")} - {*RANDOM, *DEEPER, UNION})
    turns = list(zip(fixed, itertools.cycle(("llama", "mistral", "qwen2", "gemma2")), strict=False))
    turns.append((UNION, "mistral"))
    turns += zip(DEEPER, ("llama", "mistral", "llama", "mistral"), strict=True)
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


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_method_agrees_with_mergekit_in_distribution(name, family, tmp_path):
    """Fifty draws of each: sums over a tensor's changes, and the means of its elements."""
    draws = 50
    base, one, two = (
        Checkpoint(family("llama") / each).tensor(TENSOR) for each in ("base", "one", "two")
    )
    shared = {"normalize": False, "rescale": True, "lambda": 1.0, "int8_mask": False}
    own = ({"weight": 0.0}, {"weight": 0.6, "density": 0.5, "epsilon": 0.15})
    own = (*own, {"weight": 0.4, "density": 0.6, "epsilon": 0.15})
    tensor = OutputTensor(TENSOR, ((0, TENSOR), (1, TENSOR), (2, TENSOR)), 0, shared, own)
    parameters = {key: [each[key] for each in own[1:]] for key in ("weight", "density")}
    if name.startswith("della"):
        parameters["epsilon"] = 0.15
    found: dict[str, list[torch.Tensor]] = {"ours": [], "theirs": []}
    torch.manual_seed(0)
    for seed in range(draws):
        found["ours"].append(
            in_one_piece(kernel(name, tensor, base.numel(), seed), [base, one, two])
        )
        found["theirs"].append(
            merge_tensors(
                [base, one, two],
                name,
                parameters={**parameters, "normalize": False},
                base_index=0,
                name=TENSOR,
                dtype=torch.float32,
                out_dtype=torch.float32,
            )
        )
    stacked = {whose: torch.stack(each).double() - base for whose, each in found.items()}
    ours, theirs = stacked["ours"], stacked["theirs"]
    # Sums over a tensor's thousands of changes: each is within four standard errors of the other.
    for measure in (torch.abs, torch.square, lambda change: (change == 0).double()):
        a, b = (measure(each).flatten(1).sum(1) for each in (ours, theirs))
        error = float((a.var() / draws + b.var() / draws).sqrt()) + 1e-9
        assert abs(float(a.mean() - b.mean())) < 4 * error, measure
    # An element's mean over draws: the differences have the spread of two independent means.
    z = (ours.mean(0) - theirs.mean(0)) / ((ours.var(0) + theirs.var(0)) / draws + 1e-18).sqrt()
    assert float(z.std()) == pytest.approx(1, abs=0.1)


IN_FP32 = ("linear", "linear_unnormalised", "slerp_by_layer", "slerp_slices", "passthrough_scaled")
"""Examples of methods that mergekit computes in fp32, whatever `dtype` says."""


@pytest.mark.parametrize("name", IN_FP32)
def test_what_mergekit_computes_in_fp32_is_the_same_in_bfloat16(name, stored, example, tmp_path):
    file = example(name, stored)
    text = re.sub(r"(out_)?dtype: \w+\n", "", file.read_text(encoding="utf-8"))
    file.write_text(f"{text}dtype: bfloat16\n", encoding="utf-8")
    merged = ours(file, tmp_path / "ours")
    assert_one_rounding_apart(merged, mergekits(file, tmp_path / "mergekit"))


@pytest.fixture(scope="module")
def stored(family, tmp_path_factory):
    """The llamas in bfloat16."""
    folder = tmp_path_factory.mktemp("bfloat16")
    for name in ("base", "one", "two"):
        model = Checkpoint(family("llama") / name)
        (folder / name).mkdir()
        model.copy_companions(folder / name)
        weights = {each: tensor.bfloat16() for each, tensor in model.tensors()}
        save_file(weights, folder / name / "model.safetensors", {"format": "pt"})
    return folder


def in_one_piece(kernel: Kernel, tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return what a kernel makes of whole matrices."""
    for number in range(kernel.passes):
        kernel.start(number)
        kernel.observe(number, tensors)
    kernel.start(kernel.passes)
    return kernel.combine(tensors)


def test_a_merge_can_be_loaded(family, example, tmp_path):
    merged = ours(example("passthrough", family("gemma2")), tmp_path)
    assert merged.load().config.num_hidden_layers == 8
    kinds = Checkpoint(family("gemma2") / "one").config()["layer_types"]
    assert merged.config()["layer_types"] == [*kinds[:3], *kinds[1:3], *kinds[1:]]


@pytest.mark.parametrize("kind", ["qwen3", "smollm3"])
def test_families_that_mergekit_breaks_on_are_stacked(kind, family, example, tmp_path):
    models = family(kind)
    merged = ours(example("passthrough", models), tmp_path)
    one, two = (Checkpoint(models / name) for name in ("one", "two"))
    assert merged.load().config.num_hidden_layers == 8
    origins = [*((one, i) for i in range(3)), (two, 1), (two, 2), *((one, i) for i in range(1, 4))]
    for layer, (parent, source) in enumerate(origins):
        for part in ("self_attn.q_proj", "input_layernorm"):
            ours_, theirs = (f"model.layers.{i}.{part}.weight" for i in (layer, source))
            assert torch.equal(merged.tensor(ours_), parent.tensor(theirs))
    lists = by_name(one.config())
    for name in PER_LAYER_LISTS:
        if isinstance(lists.get(name), list):
            expected = [by_name(parent.config())[name][source] for parent, source in origins]
            assert by_name(merged.config())[name] == expected


def test_there_is_an_example_of_every_method():
    texts = [file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*.yaml")]
    used = {
        line.split()[1] for text in texts for line in text.splitlines() if "merge_method" in line
    }
    assert used == set(METHODS)
    assert len(texts) >= 20
