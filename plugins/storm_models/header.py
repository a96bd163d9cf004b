"""The header of a safetensors file, read and checked without the weights and without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storm_exp import InputError

DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of an element by the dtype's name in the header."""

_LONGEST_HEADER = 100_000_000


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Return {tensor name: {dtype, shape, data_offsets}}; raises InputError."""
    return read_layout(file)[1]


def read_layout(file: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the offset of the data in bytes, and the header without its metadata.

    Raises InputError that names the file when it is not in the safetensors format or shorter
    than its header says.
    """
    actual = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if actual < 8 or length > min(_LONGEST_HEADER, actual - 8):
            raise InputError(
                f"{file}: not a safetensors file, or cut short ({actual} bytes, and the header "
                f"alone should have {length})"
            )
        try:
            header = json.loads(stream.read(length))
            assert isinstance(header, dict)
            header.pop("__metadata__", None)
            end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
            odd = [name for name, entry in header.items() if not _consistent(entry)]
        except (ValueError, KeyError, TypeError, IndexError, AssertionError) as error:
            raise InputError(f"{file}: not a safetensors file ({error!r})") from error
    if odd:
        raise InputError(f"{file}: the header contradicts itself about {odd[0]}")
    start = 8 + length
    if actual < start + end:
        raise InputError(
            f"{file}: cut short: its header describes {start + end} bytes, it has {actual}"
        )
    return start, header


def new_layout(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """Return what a file with the given {name: (dtype, shape)} begins with, and its entries.

    The layout is that of the safetensors library: wider dtypes first, then by name.
    """
    entries: dict[str, dict[str, Any]] = {}
    offset = 0
    for name in sorted(tensors, key=lambda name: (-DTYPE_BYTES[tensors[name][0]], name)):
        dtype, shape = tensors[name]
        end = offset + math.prod(shape) * DTYPE_BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    header = {"__metadata__": {"format": "pt"}, **entries}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, entries


def file_size(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> int:
    """Return the bytes of a file with the given {name: (dtype, shape)}, header included."""
    beginning, entries = new_layout(tensors)
    return len(beginning) + max((entry["data_offsets"][1] for entry in entries.values()), default=0)


def _consistent(entry: dict[str, Any]) -> bool:
    width = DTYPE_BYTES.get(entry["dtype"])
    begin, end = entry["data_offsets"]
    return width is None or end - begin == width * math.prod(entry["shape"])
