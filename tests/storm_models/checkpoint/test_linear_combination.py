import json
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from storm_exp import InputError
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.weights import PIECE, SumWeights, weighted_sum
from storm_models.folder.files import SUM_FILE
from storm_models.folder.header import file_size
from storm_models.testing import make_checkpoint


def test_a_sum_is_read_as_it_was_written(tmp_path):
    headers = {"a": ("BF16", (2, 3)), "b": ("F32", ())}
    total = LinearCombination(["k1", "k2"], headers, {"a": [0.1, 1 / 3], "b": [1.0, -0.0]})
    total.write(tmp_path)
    assert LinearCombination.read(tmp_path) == total


def test_names_that_differ_are_in_a_file_that_older_programs_refuse(tmp_path):
    headers = {"a": ("BF16", (2,)), "b": ("BF16", (2,))}
    rows = {"a": [1.0, 0.0], "b": [0.5, 0.5]}
    total = LinearCombination(["k1", "k2"], headers, rows, {"a": ["b", None]})
    total.write(tmp_path)
    assert LinearCombination.read(tmp_path) == total
    assert json.loads((tmp_path / SUM_FILE).read_text())["format"] == 2
    assert json.loads((tmp_path / SUM_FILE).read_text())["tensors"]["b"].keys() == {
        "dtype",
        "shape",
        "coefficients",
    }


def test_where_there_is_no_sum_there_is_none(tmp_path):
    assert LinearCombination.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a weighted sum"),
        ("[]", "not a weighted sum"),
        (json.dumps({"format": 1, "parents": []}), "not a weighted sum"),
        (json.dumps({"format": 3, "parents": [], "tensors": {}}), "another version"),
    ],
)
def test_a_file_that_holds_none_is_named(tmp_path, text, message):
    (tmp_path / SUM_FILE).write_text(text)
    with pytest.raises(InputError, match=f"{SUM_FILE}.*{message}"):
        LinearCombination.read(tmp_path)


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    coefficients=st.lists(st.floats(-2, 2, width=32), min_size=2, max_size=3),
    cut=st.integers(0, 70),
    dtype=st.sampled_from(["float32", "float64", "bfloat16"]),
)
def test_a_sum_is_the_same_bits_in_whatever_pieces(seed, coefficients, cut, dtype):
    generator = torch.Generator().manual_seed(seed)
    kind = getattr(torch, dtype)
    tensors = [torch.randn(70, generator=generator).to(kind) for _ in coefficients]
    whole = weighted_sum(coefficients, tensors, kind)
    parts = [
        weighted_sum(coefficients, [t[start:stop] for t in tensors], kind)
        for start, stop in ((0, cut), (cut, 70))
    ]
    assert torch.equal(torch.cat(parts), whole)


class Held:
    """Weights in memory."""

    def __init__(self, seed):
        generator = torch.Generator().manual_seed(seed)
        self.held = torch.randn(3 * PIECE, generator=generator).bfloat16()
        self.headers = {"a": ("BF16", (3 * PIECE,))}

    def read(self, name, start, stop):
        return self.held[start:stop]


def test_threads_that_read_a_sum_at_once_do_not_disturb_each_other():
    parents = [Held(0), Held(1)]
    weights = SumWeights(parents[0].headers, {"a": [0.4, 0.6]}, parents)
    expected = (parents[0].held.float() * 0.4 + parents[1].held.float() * 0.6).bfloat16()
    starts = [*range(0, 2 * PIECE, PIECE // 4)] * 8
    lengths = [PIECE, PIECE // 2, PIECE + 5]  # the last is more than is kept
    wanted = [(start, start + lengths[i % 3]) for i, start in enumerate(starts)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda piece: weights.read("a", *piece), wanted))
    for (start, stop), piece in zip(wanted, found, strict=True):
        assert torch.equal(piece, expected[start:stop])


def test_the_size_of_a_file_is_known_before_it_is_written(tmp_path):
    checkpoint = make_checkpoint(tmp_path, "qwen2", tie_word_embeddings=True)
    (file,) = checkpoint.weight_files()
    assert file_size(checkpoint.headers()) == checkpoint.weight_bytes() == file.stat().st_size
