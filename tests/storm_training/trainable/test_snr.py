from __future__ import annotations

import json

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import shapes_digest
from storm_models.testing import make_checkpoint
from storm_training.trainable.selection import highest_snr
from storm_training.trainable.snr import matrix_snr, singular_values
from storm_training.trainable.snr_scanner import SnrScanner


def snr_by_svd(matrix: np.ndarray) -> float:
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    if values.max() == 0:
        return 0.0
    values = np.where(values < 1e-7 * values.max(), 0, values)
    low, high = np.quantile(values, [0.25, 0.75])
    beta = min(matrix.shape) / max(matrix.shape)
    threshold = (high - low) / 1.349 * (1 + beta**0.5)
    noise = values[values <= threshold].sum()
    return float(values[values > threshold].sum() / (noise if noise else 1.0) / values.max())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e4]),
)
def test_the_ratio_is_that_of_an_fp64_svd(seed, rows, columns, scale):
    matrix = np.random.default_rng(seed).standard_normal((rows, columns)) * scale
    matrix = matrix.astype(np.float32)
    assert matrix_snr(torch.from_numpy(matrix)) == pytest.approx(snr_by_svd(matrix), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.floats(-10, 10, width=32),
    )
)
def test_singular_values_are_those_of_an_svd(matrix):
    expected = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[::-1]
    actual = singular_values(torch.from_numpy(matrix)).numpy()
    assert actual == pytest.approx(expected, rel=1e-5, abs=3e-7 * (expected.max() + 1e-30))


def test_small_singular_values_survive_squaring():
    values = torch.logspace(0, -5, 24, dtype=torch.float64)
    left, _ = torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(40, 24, dtype=torch.float64))
    actual = singular_values(left @ torch.diag(values) @ right.T)
    assert torch.allclose(actual.flip(0), values, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((520, 1100), torch.bfloat16), ((1100, 520), torch.float32), ((513, 513), torch.float64)],
)
def test_matrices_larger_than_a_piece_have_the_values_of_an_fp64_svd(shape, dtype):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = torch.linalg.svdvals(matrix.double()).flip(0)
    bound = 1e-7 * float(expected.max())
    assert torch.allclose(singular_values(matrix), expected, rtol=1e-9, atol=bound)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_values_at_the_ends_of_fp64_do_not_leave_it(factor):
    values = torch.arange(1.0, 6.0, dtype=torch.float64)
    assert torch.allclose(singular_values(torch.diag(values) * factor) / factor, values)


def test_matrices_of_one_value_and_of_zeros():
    assert matrix_snr(torch.zeros(4, 6)) == 0
    assert matrix_snr(torch.eye(5)) == 5


@pytest.mark.parametrize("damage", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_matrix_that_is_not_finite_is_an_error(damage, dtype):
    with pytest.raises(ValueError, match="not finite"):
        matrix_snr(torch.tensor([[1.0, damage, 2.0]], dtype=dtype))


def test_the_scan_lists_every_matrix_once(tmp_path, family):
    model = make_checkpoint(tmp_path / "model", family)
    table = SnrScanner().run(make_stage(tmp_path, "scanner"), model)
    rows = table.modules()
    assert len(rows) == 14 and len({row["name"] for row in rows}) == 14
    assert [row["layer"] for row in rows] == [0] * 7 + [1] * 7
    for row in rows:
        expected = snr_by_svd(model.tensor(row["name"]).float().numpy())
        assert row["snr"] == pytest.approx(expected, rel=1e-5)
    shapes = {name: shape for name, (_, shape) in model.headers().items()}
    assert table.shapes() == shapes_digest(shapes) == model.spec().shapes
    assert table.spec() == SnrScanner().plan_spec(model.spec())


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_the_scan_selects_what_an_fp64_svd_selects(tmp_path, fraction):
    model = make_checkpoint(tmp_path / "model", num_hidden_layers=8)
    rows = SnrScanner().run(make_stage(tmp_path, "scanner"), model).modules()
    by_svd = [{**row, "snr": snr_by_svd(model.tensor(row["name"]).float().numpy())} for row in rows]
    assert highest_snr(rows, fraction) == highest_snr(by_svd, fraction)


def test_the_scan_names_a_damaged_matrix(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    from safetensors.torch import load_file, save_file

    tensors = load_file(tmp_path / "model/model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][0, 0] = float("inf")
    save_file(tensors, tmp_path / "model/model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=name):
        SnrScanner().run(make_stage(tmp_path), Checkpoint(model.directory))


def test_a_table_is_plain_json(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    stage = make_stage(tmp_path, "scanner")
    SnrScanner().run(stage, model)
    content = json.loads((stage.directory / "layers.json").read_text())
    assert set(content) == {"shapes", "modules"}
    assert set(content["modules"][0]) == {"name", "type", "layer", "shape", "snr"}


def test_values_of_small_matrices_do_not_depend_on_the_threads():
    matrix = torch.randn(576, 700, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(singular_values(matrix))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)
