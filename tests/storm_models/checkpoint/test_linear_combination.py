import json

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from storm_exp import InputError
from storm_models.checkpoint.linear_combination import LinearCombination
from storm_models.checkpoint.weights import weighted_sum
from storm_models.folder.files import SUM_FILE
from storm_models.folder.header import file_size
from storm_models.testing import make_checkpoint


def test_a_sum_is_read_as_it_was_written(tmp_path):
    headers = {"a": ("BF16", (2, 3)), "b": ("F32", ())}
    total = LinearCombination(["k1", "k2"], headers, {"a": [0.1, 1 / 3], "b": [1.0, -0.0]})
    total.write(tmp_path)
    assert LinearCombination.read(tmp_path) == total


def test_where_there_is_no_sum_there_is_none(tmp_path):
    assert LinearCombination.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a weighted sum"),
        ("[]", "not a weighted sum"),
        (json.dumps({"format": 1, "parents": []}), "not a weighted sum"),
        (json.dumps({"format": 2, "parents": [], "tensors": {}}), "another version"),
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


def test_the_size_of_a_file_is_known_before_it_is_written(tmp_path):
    checkpoint = make_checkpoint(tmp_path, "qwen2", tie_word_embeddings=True)
    (file,) = checkpoint.weight_files()
    assert file_size(checkpoint.headers()) == checkpoint.weight_bytes() == file.stat().st_size
