import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from storm_exp import InputError
from storm_models.folder.header import read_header
from storm_models.folder.tensor_file import DTYPES, TensorReader, TensorWriter

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a": torch.tensor([1.5, -0.0, 3e-5], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False, True]),
    "eight": torch.tensor([0.5, -448.0]).to(torch.float8_e4m3fn),
    "scalar": torch.tensor(7, dtype=torch.int64),
    "empty": torch.empty(0, 4, dtype=torch.float16),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LAYOUT = {name: (NAMES[t.dtype], tuple(t.shape)) for name, t in TENSORS.items()}


def same(ours, theirs):
    return (
        ours.dtype == theirs.dtype
        and ours.shape == theirs.shape
        and bytes_of(ours) == bytes_of(theirs)
    )


def bytes_of(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


def test_what_is_written_in_pieces_is_read_by_the_library(tmp_path):
    file = tmp_path / "model.safetensors"
    with TensorWriter(file, LAYOUT) as writer:
        for name in reversed(TENSORS):
            flat = TENSORS[name].reshape(-1)
            for start in range(0, flat.numel(), 2):
                writer.write(name, flat[start : start + 2], start)
    loaded = load_file(file)
    assert loaded.keys() == TENSORS.keys()
    assert all(same(loaded[name], TENSORS[name]) for name in TENSORS)


def test_the_bytes_do_not_depend_on_the_order_of_the_writes(tmp_path):
    for name, order in (("one", list(TENSORS)), ("two", list(reversed(TENSORS)))):
        with TensorWriter(tmp_path / name, LAYOUT) as writer:
            for tensor in order:
                writer.write(tensor, TENSORS[tensor])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_the_library_wrote_is_read_whole_and_in_pieces(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"format": "pt"})
    with TensorReader(tmp_path / "x.safetensors") as reader:
        assert set(reader.entries) == set(TENSORS)
        assert all(same(reader.tensor(name), TENSORS[name]) for name in TENSORS)
        assert reader.read("b", 2, 5).tolist() == [2.0, 3.0, 4.0]


def test_a_tensor_that_is_not_written_in_full_is_noticed(tmp_path):
    with (
        pytest.raises(AssertionError, match="not written in full"),
        TensorWriter(tmp_path / "x", {"a": ("F32", (4,))}) as writer,
    ):
        writer.write("a", torch.zeros(3))


def test_a_file_cut_short_is_refused_from_its_header(tmp_path):
    file = tmp_path / "x.safetensors"
    save_file(TENSORS, file)
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.truncate(size - 1)
    with pytest.raises(InputError, match=f"truncated: .* {size} bytes, it has {size - 1}"):
        read_header(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip archive, as torch.save writes",
        (20).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        (2).to_bytes(8, "little") + b"{{",
    ],
    ids=["empty", "zip", "short-header", "null", "no-json"],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match="not a safetensors file"):
        read_header(file)


def test_a_header_that_contradicts_itself_is_refused(tmp_path):
    text = json.dumps({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}).encode()
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(InputError, match="contradicts itself about w"):
        read_header(file)
