"""safetensors files read and written in pieces of a size that the caller chooses."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from storm_exp import InputError
from storm_models.folder.background_digest import BackgroundDigest
from storm_models.folder.header import file_size, new_layout, read_layout

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""torch's dtypes by their names in safetensors headers."""


class TensorReader:
    """A safetensors file, read with pread: mapped pages would count as resident memory."""

    def __init__(self, file: Path) -> None:
        """Open a file and read its header; raises InputError if it is damaged."""
        self._start, self.entries = read_layout(file)
        self._file = file
        self._descriptor = os.open(file, os.O_RDONLY)

    def size(self, name: str) -> int:
        """Return the number of elements of a tensor."""
        return math.prod(self.entries[name]["shape"])

    def dtype(self, name: str) -> torch.dtype:
        """Return a tensor's dtype; raises InputError for one that is not in `DTYPES`."""
        stored = self.entries[name]["dtype"]
        if stored not in DTYPES:
            raise InputError(f"{self._file}: {name} has the unknown dtype {stored}")
        return DTYPES[stored]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Return the elements `start` to `stop` of a tensor, flat: shape (stop - start,)."""
        dtype = self.dtype(name)
        width = dtype.itemsize
        stop = self.size(name) if stop is None else stop
        if stop <= start:
            return torch.empty(0, dtype=dtype)
        buffer = torch.empty((stop - start) * width, dtype=torch.uint8)
        view = buffer.numpy().data
        offset = self._start + self.entries[name]["data_offsets"][0] + start * width
        done = 0
        while done < len(view):
            count = os.preadv(self._descriptor, [view[done:]], offset + done)
            if count == 0:
                raise InputError(f"{self._file}: ends within {name}")
            done += count
        return buffer.view(dtype)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a whole tensor in its shape."""
        return self.read(name).reshape(self.entries[name]["shape"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


class TensorWriter:
    """A safetensors file written header first, then the tensors in any order and in pieces.

    The bytes do not depend on the order of the writes.
    """

    def __init__(
        self,
        file: Path,
        tensors: Mapping[str, tuple[str, tuple[int, ...]]],
        digest: BackgroundDigest | None = None,
    ) -> None:
        """Create `file` for {name: (safetensors dtype, shape)} and write its header.

        A `digest` gets all bytes of the file; the tensors must then be written in the order of
        `names`, each from its beginning to its end.
        """
        beginning, self._entries = new_layout(tensors)
        self._start = self._end = len(beginning)
        self._left = {name: math.prod(shape) for name, (_, shape) in tensors.items()}
        self._file = file
        self._stream = file.open("wb")
        self._stream.write(beginning)
        self._stream.flush()
        os.truncate(file, file_size(tensors))
        self._digest = digest
        if digest:
            digest.update(beginning)

    @property
    def names(self) -> list[str]:
        """The names of the tensors, in the order of the file."""
        return list(self._entries)

    def write(self, name: str, values: torch.Tensor, start: int = 0) -> None:
        """Write `values` from element `start` of a tensor on; they must have the declared dtype."""
        entry = self._entries[name]
        assert DTYPES[entry["dtype"]] == values.dtype, (name, entry["dtype"], values.dtype)
        begin = entry["data_offsets"][0] + start * values.element_size()
        data = values.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
        assert begin + len(data) <= entry["data_offsets"][1], name
        self._stream.seek(self._start + begin)
        self._stream.write(data)
        if self._digest:
            assert self._start + begin == self._end, f"{name} is digested before what precedes it"
            self._digest.update(data)
            self._end += len(data)
        self._left[name] -= values.numel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        if kind is None:
            unwritten = [name for name, left in self._left.items() if left != 0]
            assert not unwritten, f"{self._file.name}: not written in full: {unwritten[:3]}"
