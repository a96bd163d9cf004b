"""Digests that are computed while a file is written."""

import hashlib
import threading

import pytest
import torch

from storm_models.folder.background_digest import BackgroundDigest
from storm_models.folder.tensor_file import TensorWriter

LAYOUT = {"b": ("F32", (2, 30)), "a": ("F32", (5,)), "half": ("F16", (3,)), "none": ("F16", (0,))}
DTYPES = {"F32": torch.float32, "F16": torch.float16}


def written(file, order, digest):
    with TensorWriter(file, LAYOUT, digest) as writer:
        for name in order or writer.names:
            dtype, shape = LAYOUT[name]
            values = torch.ones(shape, dtype=DTYPES[dtype]).reshape(-1)
            for start in range(0, len(values), 7):
                writer.write(name, values[start : start + 7] * (start + 1), start)


def test_the_digest_is_that_of_the_file(tmp_path):
    file = tmp_path / "x.safetensors"
    before = threading.active_count()
    with BackgroundDigest() as digest:
        written(file, None, digest)
        entry = digest.entry()
    content = file.read_bytes()
    assert entry == [len(content), hashlib.sha256(content).hexdigest()]
    assert threading.active_count() == before


def test_what_is_written_in_another_order_is_not_digested(tmp_path):
    with (
        BackgroundDigest() as digest,
        pytest.raises(AssertionError, match="half is digested before what precedes it"),
    ):
        written(tmp_path / "x", ["a", "half"], digest)
