"""The header of a safetensors file, read and checked without the weights and without torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

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

_LONGEST_HEADER = 1 << 25
"""Bytes of the longest header that is read, enough for 250,000 tensors in one file."""
_LARGEST = 1 << 53
"""A bound that no offset or size of a tensor reaches."""
_DIMENSIONS = 64


def read_header(file: Path) -> dict[str, dict[str, Any]]:
    """Return {tensor name: {dtype, shape, data_offsets}}; raises InputError."""
    return read_layout(file)[1]


def read_layout(file: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the offset of the data in bytes, and the header without its metadata.

    Raises InputError that names the file when it is not in the safetensors format, or longer or
    shorter than its header says. As in the safetensors library, tensors must be contiguous: without
    gaps or overlaps.
    """
    try:
        with file.open("rb") as stream:
            actual = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if actual < 8 or length > actual - 8:
                raise InputError(
                    f"{file}: not a safetensors file, or truncated ({actual} bytes, and its header "
                    f"alone should have {length})"
                )
            if length > _LONGEST_HEADER:
                raise InputError(
                    f"{file}: a header of {length:,} bytes, more than {_LONGEST_HEADER:,}"
                )
            text = stream.read(length)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    header = _parsed(file, text)
    end = _checked_end(file, header)
    if actual < 8 + length + end:
        raise InputError(
            f"{file}: truncated: its header describes {8 + length + end} bytes, it has {actual}"
        )
    if actual > 8 + length + end:
        raise InputError(
            f"{file}: {actual - 8 - length - end} bytes more than its header describes: it was "
            "overwritten or damaged"
        )
    return 8 + length, header


def _parsed(file: Path, text: bytes) -> dict[str, dict[str, Any]]:
    try:
        header = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except RecursionError as error:
        raise InputError(f"{file}: not a safetensors file (nested too deeply)") from error
    except ValueError as error:
        raise InputError(f"{file}: not a safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise InputError(f"{file}: not a safetensors file (its header is not a JSON object)")
    header.pop("__metadata__", None)
    return header


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _checked_end(file: Path, header: dict[str, dict[str, Any]]) -> int:
    """Return the end of the last tensor; raises InputError for inconsistent entries."""
    for name, entry in header.items():
        if not _consistent(entry):
            raise InputError(f"{file}: the header contradicts itself about {name}")
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start = entry["data_offsets"][0]
        if start != end:
            problem = "overlaps another tensor" if start < end else "leaves a gap before it"
            raise InputError(f"{file}: the header contradicts itself: {name} {problem}")
        end = entry["data_offsets"][1]
    return end


def new_layout(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """Return the first bytes of a file of {name: (dtype, shape)}, and its header's entries.

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


def _consistent(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        return False
    if len(shape) > _DIMENSIONS or math.prod(shape) >= _LARGEST:
        return False
    width = DTYPE_BYTES.get(entry["dtype"])
    begin, end = offsets
    return bool(begin <= end and (width is None or end - begin == width * math.prod(shape)))


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _LARGEST for v in values)
