from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.loop.trainer import train
from storm_training.optim.bf16_adamw import BFloat16AdamW, stochastic_round
from storm_training.optim.optimizer import build_optimizer, check_optimizer
from storm_training.optim.settings import Decayed, TrainingSettings
from storm_training.testing import ragged_sequences, small_settings


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def descend(rounding: str, steps: int, **changes: Any) -> torch.Tensor:
    """Minimise a parabola around 0 from weights of 1, with updates far below a bf16 step."""
    weights = torch.nn.Parameter(torch.ones(4000, dtype=torch.bfloat16))
    options: dict[str, Any] = {"lr": 1e-4, "betas": (0.9, 0.95), **changes}
    optimizer = BFloat16AdamW([weights], rounding=rounding, **options)
    for _ in range(steps):
        weights.grad = weights.detach().clone()
        optimizer.step()
    return weights.detach()


def test_rounding_to_the_nearest_loses_small_updates():
    assert torch.equal(descend("nearest", 100), torch.ones(4000, dtype=torch.bfloat16))


def test_stochastic_rounding_takes_them_up_on_average():
    mean = descend("stochastic", 100).double().mean()
    assert mean == pytest.approx(1 - 100 * 1e-4, abs=1e-3)


def test_kahan_takes_them_up_in_every_weight():
    weights = descend("kahan", 100).double()
    assert (weights - (1 - 100 * 1e-4)).abs().max() < 2**-8


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_kahan_follows_adamw_in_fp32(decay):
    draw = generator()
    start = torch.randn(500, generator=draw).bfloat16()
    ours, plain = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.float())
    options: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.999), "weight_decay": decay}
    optimizer = BFloat16AdamW([ours], rounding="kahan", **options)
    reference = torch.optim.AdamW([plain], **options)
    for _ in range(200):
        gradient = (torch.randn(500, generator=draw) + 0.5 * plain.detach()).bfloat16()
        ours.grad, plain.grad = gradient, gradient.float()
        optimizer.step()
        reference.step()
    moved = (plain - start.float()).norm()
    whole = ours.float() + optimizer.state[ours]["compensation"].float()
    assert (whole - plain).norm() < 5e-3 * moved
    assert (ours.float() - plain).abs().max() < 2**-8 * plain.abs().max()


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan"])
def test_one_step_is_adamws_step_rounded(rounding):
    draw = generator(3)
    start = torch.randn(70, 1000, generator=draw).bfloat16()
    gradient = torch.randn(70, 1000, generator=draw).bfloat16()
    ours, plain = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.double())
    options: dict[str, Any] = {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}
    ours.grad, plain.grad = gradient, gradient.double()
    BFloat16AdamW([ours], rounding=rounding, **options).step()
    torch.optim.AdamW([plain], **options).step()
    error = (ours.double() - plain).abs()
    step = torch.exp2(torch.floor(torch.log2(plain.abs())) - 7)
    assert (error <= step * (0.501 if rounding != "stochastic" else 1.001)).all()


def test_the_moments_are_bf16_and_fp32_and_kept_for_what_has_a_gradient():
    trained = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    idle = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = BFloat16AdamW([trained, idle], lr=0.1, betas=(0.9, 0.95))
    trained.grad = torch.ones_like(trained)
    optimizer.step()
    assert set(optimizer.state) == {trained}
    dtypes = {name: values.dtype for name, values in optimizer.state[trained].items()}
    assert (dtypes["exp_avg"], dtypes["exp_avg_sq"]) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "kahan"])
def test_a_resumed_optimiser_goes_on_to_the_same_bits(tmp_path, rounding):
    def make(start: torch.Tensor) -> tuple[torch.nn.Parameter, BFloat16AdamW]:
        weights = torch.nn.Parameter(start.clone())
        options: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.999), "seed": 5}
        return weights, BFloat16AdamW([weights], rounding=rounding, **options)

    def go_on(weights: torch.nn.Parameter, optimizer: BFloat16AdamW, steps: range) -> None:
        for step in steps:
            weights.grad = torch.randn(300, generator=generator(step)).bfloat16()
            optimizer.step()

    weights, optimizer = make(torch.randn(300, generator=generator()).bfloat16())
    go_on(weights, optimizer, range(5))
    torch.save({"weights": weights.detach(), "optimizer": optimizer.state_dict()}, tmp_path / "x")
    go_on(weights, optimizer, range(5, 9))
    saved = torch.load(tmp_path / "x", weights_only=True)
    resumed, other = make(saved["weights"])
    other.load_state_dict(saved["optimizer"])
    go_on(resumed, other, range(5, 9))
    assert torch.equal(resumed, weights)
    for name, values in optimizer.state[weights].items():
        assert torch.equal(other.state[resumed][name], values), name


def test_the_seed_decides_stochastic_rounding():
    assert torch.equal(descend("stochastic", 5, seed=1), descend("stochastic", 5, seed=1))
    assert not torch.equal(descend("stochastic", 5, seed=1), descend("stochastic", 5, seed=2))


FINITE = st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False)


@limits(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=9), st.integers(0, 2**31))
def test_stochastic_rounding_returns_a_neighbour(numbers, seed):
    values = torch.tensor(numbers, dtype=torch.float32)
    rounded = stochastic_round(values, generator(seed))
    bits = values.view(torch.int32) & -0x10000
    lower = bits.view(torch.float32)  # towards zero
    upper = (bits + 0x10000).view(torch.float32)
    exact = lower == values
    assert ((rounded.float() == lower) | (~exact & (rounded.float() == upper))).all()


@limits(deadline=None, max_examples=30)
@given(FINITE.filter(lambda number: abs(number) > 2.0**-100), st.integers(0, 2**31))
def test_stochastic_rounding_is_right_on_average(number, seed):
    draws = 20_000
    values = torch.full((draws,), number, dtype=torch.float32)
    rounded = stochastic_round(values, generator(seed)).double()
    step = 2.0 ** (math.floor(math.log2(abs(number))) - 7)
    # Five standard deviations of a mean of coins: 5 * 0.5 / sqrt(20000) of a step.
    assert abs(float(rounded.mean() - values.double()[0])) < 0.018 * step


def test_noise_differs_between_neighbours():
    values = torch.full((4096,), 1 + 2**-9)
    up = (stochastic_round(values, generator()).float() > 1).numpy()
    for distance in (1, 2, 3, 4, 5, 64):
        both = np.mean(up[distance:] & up[:-distance])
        assert both == pytest.approx(0.25**2, abs=0.02)


def test_the_settings_choose_the_optimiser():
    matrix, vector = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    chosen = small_settings(weight_decay=0.1, precision="bfloat16", rounding="kahan")
    optimizer = build_optimizer([matrix, vector], chosen, "bfloat16")
    assert isinstance(optimizer, BFloat16AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert [group["params"] for group in optimizer.param_groups] == [[matrix], [vector]]
    assert type(build_optimizer([vector], chosen, "bfloat16_mixed")) is torch.optim.AdamW


def test_norms_decay_where_every_parameter_does():
    matrix, vector = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    chosen = small_settings(weight_decay=0.1, decayed=Decayed.all)
    for precision in ("float32", "bfloat16"):
        optimizer = build_optimizer([matrix, vector], chosen, precision)
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1}


def eight_bit() -> TrainingSettings:
    chosen = small_settings(steps=8)
    chosen.optimizer = "adamw_8bit"  # past the check for the package
    return chosen


def test_eight_bit_states_follow_adamw(tmp_path):
    pytest.importorskip("bitsandbytes")
    start = make_checkpoint(tmp_path / "model", hidden_size=64, intermediate_size=128)
    courses = []
    for name, chosen in (("plain", small_settings(steps=8)), ("eight", eight_bit())):
        model, stage = start.load("float32"), make_stage(tmp_path, name)
        courses.append(train(model, ragged_sequences(), chosen, stage).steps)
    for eight, plain in zip(courses[1], courses[0], strict=True):
        assert eight["loss"] == pytest.approx(plain["loss"], rel=0.02)


def test_eight_bit_states_need_whole_weights_and_bitsandbytes(monkeypatch):
    with pytest.raises(SettingError, match="needs whole weights on every device"):
        check_optimizer(eight_bit(), sharded=True)
    check_optimizer(eight_bit(), sharded=False)
    monkeypatch.setattr(
        "storm_training.optim.settings.find_spec", lambda name: name != "bitsandbytes"
    )
    with pytest.raises(SettingError, match=r"bitsandbytes: pip install .*\[gpu\]"):
        small_settings(optimizer="adamw_8bit")


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16_mixed"])
@pytest.mark.parametrize("rounding", ["stochastic", "kahan"])
def test_rounding_is_refused_where_it_means_nothing(precision, rounding):
    with pytest.raises(SettingError, match="is used only with precision=bfloat16"):
        small_settings(precision=precision, rounding=rounding)
