import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from mergekit.merge_methods.slerp import slerp as mergekit_slerp

from storm_merging.parents.spherical import Angle, slerp_coefficients
from storm_models.checkpoint.weights import weighted_sum

SEEDS = st.integers(0, 2**31)
WEIGHTS = st.floats(0, 1)


def pair(seed, angle=None, size=257, dtype=torch.float32):
    """Two random vectors, `angle` radians apart when given, of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, size, generator=generator, dtype=torch.float64)
    if angle is not None:
        a, b = a / a.norm(), b - (a @ b) / (a @ a) * a
        b = math.cos(angle) * a + math.sin(angle) * b / b.norm()
    return (1.7 * a).to(dtype), (0.6 * b).to(dtype)


def slerp(t, a, b, piece=100):
    angle = Angle()
    for start in range(0, len(a), piece):
        angle.add(a[start : start + piece], b[start : start + piece])
    return weighted_sum(slerp_coefficients(t, angle), [a, b], a.dtype)


def oracle(t, a, b):
    return mergekit_slerp(torch.tensor([t]), a[None], b[None])[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("angle", [None, 0.5, 2.5, 0.0316, 0.0317, 0.01, 3.13, 0.0, math.pi])
def test_slerp_equals_mergekit_on_both_sides_of_the_colinear_boundary(angle, dtype):
    for seed, t in enumerate([0.0, 0.1, 0.5, 0.77, 1.0]):
        a, b = pair(seed, angle, dtype=dtype)
        ours, theirs = slerp(t, a, b), oracle(t, a, b)
        assert ours.dtype == dtype
        tolerance = {torch.float64: 1e-6, torch.float32: 1e-5}.get(dtype, torch.finfo(dtype).eps)
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=1e-6)


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(seed=SEEDS, t=WEIGHTS, angle=st.floats(0.04, math.pi - 0.04))
def test_slerp_equals_the_formula_in_double_precision(seed, t, angle):
    a, b = (x.double().numpy() for x in pair(seed, angle))
    cosine = float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
    theta = math.acos(cosine)
    expected = (math.sin((1 - t) * theta) * a + math.sin(t * theta) * b) / math.sin(theta)
    ours = slerp(t, *pair(seed, angle)).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5 / math.sin(theta))


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(seed=SEEDS, angle=st.floats(0, math.pi), dtype=st.sampled_from(["float32", "bfloat16"]))
def test_the_ends_give_the_parents_back_bit_by_bit(seed, angle, dtype):
    a, b = pair(seed, angle, dtype=getattr(torch, dtype))
    a[0] = -0.0
    assert torch.equal(slerp(0.0, a, b), a)
    assert torch.signbit(slerp(0.0, a, b)[0])
    assert torch.equal(slerp(1.0, a, b), b)


@settings(deadline=None, derandomize=True, database=None, max_examples=25)
@given(seed=SEEDS, t=WEIGHTS)
def test_swapping_the_parents_is_the_same_as_one_minus_t(seed, t):
    a, b = pair(seed)
    torch.testing.assert_close(slerp(t, a, b), slerp(1 - t, b, a), rtol=1e-5, atol=1e-6)


@settings(deadline=None, derandomize=True, database=None, max_examples=25)
@given(seed=SEEDS, t=WEIGHTS, angle=st.floats(0.04, math.pi - 0.04))
def test_between_unit_vectors_the_length_stays_one(seed, t, angle):
    a, b = pair(seed, angle)
    assert float(slerp(t, a / a.norm(), b / b.norm()).norm()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_a_zero_tensor_is_merged_as_mergekit_does(t):
    a, b = pair(0)
    zero = torch.zeros_like(a)
    for one, two in ((a, zero), (zero, b), (zero, zero)):
        torch.testing.assert_close(slerp(t, one, two), oracle(t, one, two))


def test_an_empty_tensor_stays_empty():
    empty = torch.empty(0)
    assert slerp(0.5, empty, empty).shape == (0,)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_noticed(bad):
    for spoilt in range(2):
        tensors = pair(0)
        tensors[spoilt][200] = bad
        angle = Angle()
        angle.add(*tensors)
        assert not angle.finite


def test_squares_that_overflow_single_precision_are_no_infinity():
    angle = Angle()
    angle.add(torch.full((4,), 1e25), torch.tensor([1e25, 0, 0, 0]))
    assert angle.finite
    assert angle.cosine == pytest.approx(0.5)


def test_the_angle_does_not_depend_on_the_pieces():
    a, b = pair(3, 0.7, size=1000)
    whole, by_pieces = Angle(), Angle()
    whole.add(a, b)
    for start in range(0, 1000, 7):
        by_pieces.add(a[start : start + 7], b[start : start + 7])
    assert whole.degrees == pytest.approx(math.degrees(0.7), abs=1e-3)
    assert by_pieces.cosine == pytest.approx(whole.cosine, abs=1e-6)


@settings(deadline=None, derandomize=True, database=None, max_examples=25)
@given(seed=SEEDS, weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_a_weighted_sum_is_rounded_once(seed, weights):
    generator = torch.Generator().manual_seed(seed)
    tensors = list(torch.randn(3, 50, generator=generator).to(torch.bfloat16))
    exact = sum(w * t.double().numpy() for w, t in zip(weights, tensors, strict=True))
    ours = weighted_sum(weights, tensors, torch.bfloat16).double().numpy()
    assert np.all(np.abs(ours - exact) <= np.abs(exact) * 2**-8 + 1e-5)
