"""llama.cpp's own reader of importance matrices: python imatrix.py LIBRARIES FILE prints JSON.

`common_imatrix_load` is C++, whose containers are laid out here as GNU's library has them, for a
process of its own: another layout would crash it.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

NAME = (
    "_Z19common_imatrix_loadRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEER14common_imatrix"
)
Address, Size = ctypes.c_void_p, ctypes.c_size_t


class Text(ctypes.Structure):
    """std::string"""

    _fields_ = (("data", Address), ("length", Size), ("short", ctypes.c_char * 16))

    def text(self) -> str:
        return ctypes.string_at(self.data, self.length).decode()


class Vector(ctypes.Structure):
    """std::vector"""

    _fields_ = (("begin", Address), ("end", Address), ("room", Address))

    def values(self, kind: Any) -> list[Any]:
        count = ((self.end or 0) - (self.begin or 0)) // ctypes.sizeof(kind)
        return list((kind * count).from_address(self.begin)) if count else []


class Node(ctypes.Structure):
    """A node of std::map; the header of a map has the first four fields."""

    _fields_ = (
        ("colour", ctypes.c_int),
        ("parent", Address),
        ("left", Address),
        ("right", Address),
        ("name", Text),
        ("sums", Vector),
        ("counts", Vector),
    )


class Matrix(ctypes.Structure):
    """common_imatrix"""

    _fields_ = (
        ("compare", ctypes.c_byte * 8),
        ("header", ctypes.c_byte * 32),
        ("entries", Size),
        ("datasets", Vector),
        ("chunk_count", ctypes.c_int32),
        ("chunk_size", ctypes.c_int32),
        ("is_legacy", ctypes.c_bool),
        ("has_metadata", ctypes.c_bool),
        ("room", ctypes.c_byte * 64),
    )


def nodes(address: int | None) -> dict[str, Any]:
    """Return what a tree holds, by name."""
    if not address:
        return {}
    node = Node.from_address(address)
    own = [node.sums.values(ctypes.c_float), node.counts.values(ctypes.c_int64)]
    return {**nodes(node.left), node.name.text(): own, **nodes(node.right)}


def main(folder: Path, file: str) -> None:
    """Print what llama.cpp reads."""
    for name in ("ggml-base", "ggml", "llama", "llama-common"):
        path = sorted([*folder.glob(f"lib{name}.so*"), *folder.glob(f"lib{name}.*so")])[0]
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    matrix = Matrix()
    header = Node.from_buffer(matrix, Matrix.header.offset)
    header.left = header.right = ctypes.addressof(header)
    letters = ctypes.create_string_buffer(file.encode())
    name = Text(ctypes.addressof(letters), len(file.encode()))
    load = library[NAME]
    load.restype = ctypes.c_bool
    assert load(ctypes.byref(name), ctypes.byref(matrix))
    print(
        json.dumps(
            {
                "entries": nodes(header.parent),
                "chunk_count": matrix.chunk_count,
                "chunk_size": matrix.chunk_size,
                "is_legacy": matrix.is_legacy,
                "has_metadata": matrix.has_metadata,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
