"""Losses in chunks of logits against torch on all of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from torch.nn import functional

from storm_training.losses import (
    Head,
    cross_entropy,
    divergence,
    log_probabilities,
    top_k,
    top_k_divergence,
)
from storm_training.losses import head as head_module

VARIANTS = [
    {},
    {"biased": True},
    {"scale": 0.25},
    {"softcap": 5.0},
    {"biased": True, "scale": 2.0, "softcap": 3.0},
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Three positions at a time."""
    monkeypatch.setattr(head_module, "CHUNK_LOGITS", 3 * 19)


def draw(count=8, width=5, vocabulary=19, *, dtype=torch.float64, seed=0, biased=False, **more):
    torch.manual_seed(seed)
    hidden = torch.randn(count, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    bias = torch.randn(vocabulary, dtype=dtype, requires_grad=True) if biased else None
    labels = torch.randint(vocabulary, (count,))
    return hidden, Head(weight, bias, **more), labels


def whole(hidden, head):
    logits = functional.linear(hidden, head.weight, head.bias) * head.scale
    return head.softcap * torch.tanh(logits / head.softcap) if head.softcap else logits


def require_equal(ours, theirs, *leaves):
    leaves = [leaf for leaf in leaves if leaf is not None]
    assert torch.allclose(ours, theirs, rtol=1e-9)
    actual = torch.autograd.grad(ours.sum() * 1.5, leaves)
    expected = torch.autograd.grad(theirs.sum() * 1.5, leaves)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_cross_entropy(variant):
    hidden, head, labels = draw(**variant)
    theirs = functional.cross_entropy(whole(hidden, head), labels, reduction="sum")
    require_equal(cross_entropy(hidden, head, labels), theirs, hidden, head.weight, head.bias)


@limits(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(2, 40), st.integers(0, 99))
def test_cross_entropy_of_any_shape(count, width, vocabulary, seed):
    hidden, head, labels = draw(count, width, vocabulary, seed=seed)
    theirs = functional.cross_entropy(whole(hidden, head), labels, reduction="sum")
    require_equal(cross_entropy(hidden, head, labels), theirs, hidden, head.weight)


def test_no_position_gives_no_loss_and_no_gradient():
    hidden, head, labels = draw(0)
    loss = cross_entropy(hidden, head, labels)
    loss.backward()
    assert float(loss.detach()) == 0 and not head.weight.grad.any()


def test_a_frozen_head_gets_no_gradient():
    hidden, head, labels = draw()
    cross_entropy(hidden, head.detach(), labels).backward()
    assert head.weight.grad is None
    assert hidden.grad is not None


@pytest.mark.parametrize("variant", VARIANTS)
def test_log_probabilities(variant):
    hidden, head, labels = draw(**variant)
    theirs = whole(hidden, head).log_softmax(1).gather(1, labels[:, None]).squeeze(1)
    ours = log_probabilities(hidden, head, labels)
    weights = torch.linspace(-1, 2, len(labels), dtype=torch.float64)
    require_equal(ours * weights, theirs * weights, hidden, head.weight, head.bias)
    assert torch.autograd.gradcheck(
        lambda h, w: log_probabilities(h, head._replace(weight=w), labels), (hidden, head.weight)
    )


def naive_divergence(student, teacher, labels, temperature, kl_weight, ce_weight):
    shared = min(student.shape[1], teacher.shape[1])
    kl = functional.kl_div(
        (student[:, :shared] / temperature).log_softmax(1),
        (teacher[:, :shared] / temperature).softmax(1),
        reduction="sum",
    )
    ce = functional.cross_entropy(student, labels, reduction="sum")
    return kl_weight * kl * temperature**2 + ce_weight * ce, kl * temperature**2, ce


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("padding", [0, 4, -4])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.7, 0.3)])
def test_divergence(variant, padding, temperature, shares):
    hidden, head, labels = draw(**variant)
    labels = labels % 15
    teacher_hidden, teacher_head, _ = draw(width=7, vocabulary=19 + padding, seed=1)
    ours = divergence(
        hidden, head, teacher_hidden, teacher_head, labels,
        temperature=temperature, kl_weight=shares[0], ce_weight=shares[1],
    )  # fmt: skip
    loss, kl, ce = naive_divergence(
        whole(hidden, head),
        whole(teacher_hidden, teacher_head).detach(),
        labels,
        temperature,
        *shares,
    )
    assert torch.allclose(ours.kl, kl)
    assert float(ours.cross_entropy) == pytest.approx(float(ce.detach()) if shares[1] else 0.0)
    require_equal(ours.loss, loss, hidden, head.weight, head.bias)
    assert teacher_hidden.grad is None and teacher_head.weight.grad is None


def test_sums_over_many_logits_in_fp32_are_those_of_fp64(monkeypatch):
    monkeypatch.setattr(head_module, "CHUNK_LOGITS", 1 << 25)
    student, head, labels = draw(96, 4, 50_000, dtype=torch.float32)
    teacher, teacher_head, _ = draw(96, 4, 50_000, dtype=torch.float32, seed=1)
    with torch.no_grad():
        actual = divergence(student, head, teacher, teacher_head, labels, ce_weight=1.0)
        wide, above = (
            functional.linear(states.double(), one.weight.double())
            for states, one in ((student, head), (teacher, teacher_head))
        )
    loss, kl, ce = naive_divergence(wide, above, labels, 1.0, 1.0, 1.0)
    assert float(actual.kl) == pytest.approx(float(kl), rel=1e-6)
    assert float(actual.cross_entropy) == pytest.approx(float(ce), rel=1e-6)
    assert float(actual.loss) == pytest.approx(float(loss), rel=1e-6)


@limits(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.floats(0.5, 4))
def test_divergence_is_zero_for_a_student_that_agrees_and_never_negative(seed, temperature):
    hidden, head, labels = draw(seed=seed)
    other, other_head, _ = draw(seed=seed + 1)
    same = divergence(hidden, head, hidden, head, labels, temperature=temperature)
    apart = divergence(hidden, head, other, other_head, labels, temperature=temperature)
    assert abs(float(same.kl)) < 1e-9
    assert float(apart.kl) > 0


def naive_top_k(student, kept):
    """Both distributions with the others lumped together, as torch writes it."""
    likely = student.log_softmax(1)
    others = likely.exp().scatter(1, kept.ids, 0).sum(1, keepdim=True).log()
    ours = torch.cat([likely.gather(1, kept.ids), others], 1)
    theirs = torch.cat([kept.log_probabilities, kept.rest.unsqueeze(1)], 1)
    return functional.kl_div(ours, theirs, log_target=True, reduction="sum")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("k", [1, 3, 18])
@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.7, 0.3)])
def test_top_k_divergence(variant, k, shares):
    hidden, head, labels = draw(**variant)
    teacher_hidden, teacher_head, _ = draw(width=7, seed=1)
    kept = top_k(teacher_hidden, teacher_head, k)
    ours = top_k_divergence(hidden, head, kept, labels, kl_weight=shares[0], ce_weight=shares[1])
    logits = whole(hidden, head)
    kl = naive_top_k(logits, kept)
    ce = functional.cross_entropy(logits, labels, reduction="sum")
    assert torch.allclose(ours.kl, kl) and torch.allclose(ours.cross_entropy, ce)
    theirs = shares[0] * kl + shares[1] * ce
    require_equal(ours.loss, theirs, hidden, head.weight, head.bias)


def test_all_but_one_of_the_vocabulary_is_the_whole_divergence():
    hidden, head, labels = draw()
    other, other_head, _ = draw(seed=1)
    full = divergence(hidden, head, other, other_head, labels).loss
    kept = top_k(other, other_head, 18)
    require_equal(top_k_divergence(hidden, head, kept, labels).loss, full, hidden, head.weight)


def test_a_student_far_from_the_others_still_gets_a_gradient():
    hidden, head, labels = draw(dtype=torch.float32)
    sure = head._replace(weight=(head.weight * 100).detach().requires_grad_())
    kept = top_k(-hidden, head, 3)
    loss = top_k_divergence(hidden, sure, kept, labels).loss
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(sure.weight.grad).all()
    assert sure.weight.grad.any()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_top_k_loses_divergence_and_never_gains_any(k):
    hidden, head, labels = draw()
    other, other_head, _ = draw(seed=1)
    kept = top_k(other, other_head, k)
    likely = whole(other, other_head).softmax(1)
    assert torch.allclose(kept.log_probabilities.exp(), likely.topk(k, 1).values)
    assert torch.allclose(kept.rest.exp(), 1 - likely.topk(k, 1).values.sum(1))
    full = divergence(hidden, head, other, other_head, labels).loss
    assert 0 < float(top_k_divergence(hidden, head, kept, labels).kl) <= float(full.detach())
    agreed = top_k_divergence(other, other_head, kept, labels)
    assert float(agreed.kl) == pytest.approx(0, abs=1e-12)


def test_gradients_are_used_up_by_one_backward_pass():
    hidden, head, labels = draw()
    loss = cross_entropy(hidden, head, labels)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute the loss again"):
        loss.backward()


def test_autocast_multiplies_in_bf16_and_adds_up_in_fp32():
    hidden, head, labels = draw(64, 32, 19, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = cross_entropy(hidden, head, labels)
        theirs = functional.cross_entropy(whole(hidden, head).float(), labels, reduction="sum")
    assert ours.dtype == torch.float32
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-3)
    ours.backward()
    assert head.weight.grad.dtype == torch.float32
    exact = torch.autograd.grad(
        functional.cross_entropy(whole(hidden, head), labels, reduction="sum"), [head.weight]
    )[0]
    assert (head.weight.grad - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize(
    ("width", "device", "rows"),
    [
        (128_000, "cpu", 256),
        (16_384, "cpu", 256),
        (8_192, "cpu", 256),
        (1_024, "cpu", 2_048),
        (8_192, "cuda", 4_096),
    ],
)
def test_pieces_fit_a_processors_cache_and_fill_a_card(monkeypatch, width, device, rows):
    monkeypatch.setattr(head_module, "CHUNK_LOGITS", 1 << 25)
    slices = list(head_module.chunks(10_000, width, torch.device(device)))
    assert slices[0] == slice(0, rows)
    assert [chunk.start for chunk in slices[1:]] == [chunk.stop for chunk in slices[:-1]]
    assert slices[-1].stop == 10_000


@pytest.mark.parametrize("padding", [4, -4])
@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.7, 0.3)])
def test_stored_answers_are_compared_over_the_rows_that_both_have(padding, shares):
    hidden, head, labels = draw()
    other, other_head, _ = draw(vocabulary=19 + padding, seed=1)
    labels = labels.clamp(max=min(19, 19 + padding) - 1)
    weight = other_head.weight.detach().clone()
    weight[19:] *= 3  # some of a teacher's likely tokens have no row in the student
    other_head = other_head._replace(weight=weight)
    kept = top_k(other, other_head, 19 + padding - 1)
    if padding > 0:
        assert (kept.ids >= 19).any() and (kept.ids[:, :3] >= 19).any()
    weights = {"kl_weight": shares[0], "ce_weight": shares[1]}
    full = divergence(hidden, head, other, other_head, labels, **weights)
    ours = top_k_divergence(hidden, head, kept, labels, rows=19 + padding, **weights)
    assert torch.allclose(ours.kl, full.kl, rtol=1e-3)
    assert torch.allclose(ours.loss, full.loss, rtol=1e-3)
    ours.loss.backward()
    actual = [hidden.grad.clone(), head.weight.grad.clone()]
    hidden.grad = head.weight.grad = None
    full.loss.backward()
    assert torch.allclose(actual[0], hidden.grad, atol=1e-3 * float(hidden.grad.abs().max()))
    assert torch.allclose(
        actual[1], head.weight.grad, atol=1e-3 * float(head.weight.grad.abs().max())
    )


def test_a_student_with_the_teachers_own_rows_is_computed_as_before():
    hidden, head, labels = draw()
    other, other_head, _ = draw(seed=1)
    kept = top_k(other, other_head, 5)
    plain = top_k_divergence(hidden, head, kept, labels)
    assert torch.equal(plain.loss, top_k_divergence(hidden, head, kept, labels, rows=19).loss)
