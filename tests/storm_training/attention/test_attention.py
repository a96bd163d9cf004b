from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from transformers import PreTrainedModel

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.attention.document_attention import documents_attention
from storm_training.attention.documents import Documents
from storm_training.attention.implementation import attention, choose_attention, require_isolation
from storm_training.data.packing import build_batch
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.trainer import train
from storm_training.objectives.objective import next_token_loss
from storm_training.testing import ragged_sequences, small_settings

WINDOW = {"sliding_window": 9}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, **WINDOW},
    "mistral": WINDOW,
    "gemma2": {"attn_logit_softcapping": 5.0, **WINDOW},
}
LENGTHS = [1, 2, 17, 40, 1, 33, 9, 8, 21, 64, 3]
ROWS = [[0, 3, 4, 2], [9], [5, 6, 1, 10], [7, 8]]
"""Rows of different widths, so that the shorter ones end in padding."""


def make(tmp_path, family: str, **sizes: Any) -> PreTrainedModel:
    checkpoint = make_checkpoint(tmp_path / family, family, **{**MODELS.get(family, {}), **sizes})
    return checkpoint.load("float32")


def documents() -> TokenSequences:
    draw = np.random.default_rng(2)
    return TokenSequences.collect((draw.integers(0, 200, length), None) for length in LENGTHS)


def test_the_models_of_these_tests_have_windows_shorter_than_their_documents(tmp_path):
    kinds = make(tmp_path, "qwen2").config.layer_types
    assert kinds == ["full_attention", "sliding_attention"]
    assert max(LENGTHS) > WINDOW["sliding_window"]


@pytest.mark.parametrize(
    ("family", "kernel"),
    [(family, kernel) for family in MODELS for kernel in ("eager", "sdpa", "documents", "flex")],
)
def test_packed_states_are_those_of_separate_documents(tmp_path, family, kernel):
    if family == "gemma2" and kernel in ("sdpa", "documents"):
        return  # both are refused, for they would leave out the cap
    model = make(tmp_path, family)
    sequences = documents()
    batch = build_batch(sequences, ROWS)
    inputs = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "use_cache": False}
    name = {"flex": "flex_attention"}.get(kernel, kernel)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # flex says that it is slow when not compiled
        with attention(model, name), torch.compiler.set_stance("force_eager"):
            together = model(**inputs).logits
        for number, row in enumerate(ROWS):
            start = 0
            for index in row:
                tokens = torch.from_numpy(sequences[index][0].astype(np.int64))
                with attention(model, "eager"):
                    alone = model(input_ids=tokens[None], use_cache=False).logits[0]
                part = together[number, start : start + len(tokens)]
                assert torch.allclose(part, alone, atol=1e-5), (number, index)
                start += len(tokens)


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
def test_attention_by_documents_has_the_gradients_of_sdpa(tmp_path, family):
    model = make(tmp_path, family)
    batch = build_batch(documents(), ROWS)
    results = []
    for kernel in ("sdpa", "documents"):
        model.zero_grad()
        with attention(model, kernel):
            loss = next_token_loss(model, batch)
            loss.backward()
        results.append((loss.item(), [p.grad.clone() for p in model.parameters()]))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert (one - other).norm() <= 1e-5 * one.norm()


def test_in_bf16_it_is_as_near_to_exact_gradients_as_sdpa(tmp_path):
    model = make(tmp_path, "llama")
    batch = build_batch(documents(), ROWS)
    results = {}
    for kernel, low in (("eager", False), ("sdpa", True), ("documents", True)):
        model.zero_grad()
        with attention(model, kernel), torch.autocast("cpu", torch.bfloat16, enabled=low):
            next_token_loss(model, batch).backward()
        results[kernel] = torch.cat([p.grad.flatten().double() for p in model.parameters()])
    exact = results["eager"]
    errors = {kernel: float((actual - exact).norm()) for kernel, actual in results.items()}
    assert errors["documents"] < 1.2 * errors["sdpa"] < 0.02 * float(exact.norm())


def dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int], window: int
) -> torch.Tensor:
    """Attention [tokens, heads, dim] with all pairs written down."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    places = torch.arange(len(owner))
    distance = places[:, None] - places[None]
    seen = (owner[:, None] == owner[None]) & (distance >= 0) & (distance < window)
    shared = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(shared, 1) for states in (key, value))
    scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


@limits(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.sampled_from([None, 1, 7]),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_any_documents_are_attended_as_a_dense_mask_says(lengths, window, dtype):
    check(lengths, window, dtype)


def test_documents_too_long_for_plain_products(monkeypatch):
    monkeypatch.setattr("storm_training.attention.cpu_kernels._LONGEST_DENSE", 16)
    for window in (None, 7):
        check([30, 2, 17, 16, 1, 30], window, torch.bfloat16)


def check(lengths: list[int], window: int | None, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(sum(lengths))
    heads = (4, 2, 2)
    states = [torch.randn(sum(lengths), h, 8, generator=draw).to(dtype) for h in heads]
    outer = torch.randn(sum(lengths), 4, 8, generator=draw).to(dtype)
    exact = [x.double().clone().requires_grad_() for x in states]
    expected = dense(*exact, lengths, window or 1000)
    expected.backward(outer.double())
    ours = [x.clone().requires_grad_() for x in states]
    cu_seqlens = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    rows = [x.transpose(0, 1)[None] for x in ours]
    actual, _ = documents_attention(
        torch.nn.Module(), *rows, Documents(cu_seqlens, max(lengths), window)
    )
    actual[0].backward(outer)
    assert actual.dtype == dtype
    limit = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    pairs = [(actual[0], expected), *((a.grad, b.grad) for a, b in zip(ours, exact, strict=True))]
    for one, other in pairs:
        assert one.dtype == dtype
        assert (one.double() - other).norm() <= limit * max(other.norm(), outer.norm())


@pytest.mark.parametrize(
    ("family", "accelerator", "precision", "expected"),
    [
        ("llama", "cpu", "float32", "documents"),
        ("llama", "gpu", "bfloat16_mixed", "documents"),
        ("llama", "gpu", "float32", "sdpa"),
        ("mistral", "cpu", "bfloat16", "documents"),
        ("gemma2", "cpu", "float32", "eager"),
        ("gemma2", "gpu", "bfloat16", "flex_attention"),
    ],
)
def test_auto_takes_what_is_fast_and_exact(tmp_path, family, accelerator, precision, expected):
    model = make(tmp_path, family)
    assert choose_attention("auto", model, accelerator, precision) == expected


@pytest.mark.parametrize(
    ("family", "wanted", "accelerator", "problem"),
    [
        ("gemma2", "sdpa", "cpu", "caps its scores"),
        ("gemma2", "documents", "gpu", "caps its scores"),
        ("llama", "flex", "cpu", "trains on GPUs only"),
        ("llama", "documents", "gpu", "on a GPU it needs bf16"),
        ("gpt_oss", "documents", "cpu", "has sinks"),
    ],
)
def test_what_would_be_wrong_is_refused(tmp_path, family, wanted, accelerator, problem):
    model = make(tmp_path, family)
    with pytest.raises(SettingError, match=problem):
        choose_attention(wanted, model, accelerator, "float32")


def test_dropout_in_attention_is_left_to_sdpa(tmp_path):
    model = make(tmp_path, "llama", attention_dropout=0.1)
    assert choose_attention("auto", model, "cpu", "float32") == "sdpa"
    with pytest.raises(SettingError, match="attention_dropout is above 0"):
        choose_attention("documents", model, "cpu", "float32")


def test_layers_that_carry_a_state_are_refused(tmp_path):
    model = make(tmp_path, "mamba")
    with pytest.raises(InputError, match="layers of type linear_attention would mix"):
        choose_attention("auto", model, "cpu", "float32")


def test_sdpa_leaves_out_a_cap_without_a_word(tmp_path):
    """The reason why it is refused; when this fails, transformers has learnt better."""
    model = make(tmp_path, "gemma2")
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data *= 1000
    ids = torch.arange(12)[None]
    with torch.no_grad():
        with attention(model, "eager"):
            exact = model(input_ids=ids).logits
        with attention(model, "sdpa"):
            assert not torch.allclose(model(input_ids=ids).logits, exact, atol=1e-3)


@pytest.mark.parametrize("family", ["bloom", "gpt_oss"])
def test_a_model_that_mixes_packed_documents_is_refused(tmp_path, family):
    model = make(tmp_path, family)
    kernel = choose_attention("auto", model, "cpu", "float32")
    with attention(model, kernel), pytest.raises(InputError, match="a document sees the one"):
        require_isolation(model)


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "gemma2", "gpt2", "mixtral"])
@pytest.mark.parametrize("low", [False, True])
def test_a_model_that_keeps_documents_apart_is_not(tmp_path, family, low):
    model = make(tmp_path, family).train()
    with (
        attention(model, choose_attention("auto", model, "cpu", "float32")),
        torch.autocast("cpu", torch.bfloat16, enabled=low),
    ):
        require_isolation(model)
    assert model.training


def test_training_asks_the_model_before_the_first_step(tmp_path):
    stage = make_stage(tmp_path)
    for kernel, problem in (("sdpa", "OPTForCausalLM cannot train"), ("auto", "without a mask")):
        chosen = small_settings(attention=kernel)
        with pytest.raises(InputError, match=problem):
            train(make(tmp_path, "opt"), ragged_sequences(), chosen, stage)


def test_a_mask_or_a_cache_is_refused(tmp_path):
    model = make(tmp_path, "llama")
    ids = torch.arange(12)[None]
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    with attention(model, "documents"), pytest.raises(InputError, match="without a mask"):
        model(input_ids=ids, attention_mask=mask, use_cache=False)


def test_the_model_gets_its_own_attention_back(tmp_path):
    model = make(tmp_path, "llama")
    before = model.config._attn_implementation
    train(model, ragged_sequences(), small_settings(), make_stage(tmp_path))
    assert model.config._attn_implementation == before != "documents"


@pytest.mark.parametrize("kernel", ["documents", "sdpa", "eager"])
def test_training_takes_the_same_course_by_any_kernel(tmp_path, kernel):
    model = make(tmp_path, "llama")
    chosen = small_settings(attention=kernel)
    log = train(model, ragged_sequences(), chosen, make_stage(tmp_path, kernel))
    plain = make(tmp_path, "llama")
    expected = train(plain, ragged_sequences(), small_settings(), make_stage(tmp_path, "auto"))
    losses = [entry["loss"] for entry in log.steps]
    assert losses == pytest.approx([entry["loss"] for entry in expected.steps], rel=1e-4)


@pytest.mark.slow
def test_compiled_layers_take_the_same_course(tmp_path):
    courses = []
    for wanted in (False, True):
        model = make(tmp_path, "llama", num_hidden_layers=1)
        chosen = small_settings(compile=wanted, steps=2)
        log = train(model, ragged_sequences(), chosen, make_stage(tmp_path, str(wanted)))
        courses.append([entry["loss"] for entry in log.steps])
        assert all(module._compiled_call_impl is None for module in model.modules())
    torch._dynamo.reset()
    assert courses[1] == pytest.approx(courses[0], rel=1e-4)
