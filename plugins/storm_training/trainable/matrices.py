"""The matrices of a transformer's blocks, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MODULE_TYPES = (
    "q_proj",
    "k_proj",
    "v_proj",
    "qkv_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "gate_up_proj",
    "down_proj",
)
"""Their types; qkv_proj and gate_up_proj are Phi-3's, several matrices fused in one."""

_NAME = re.compile(r"(?:.*\.)?layers\.(\d+)\.(?:.*\.)?(" + "|".join(MODULE_TYPES) + r")\.weight")


class Matrix(NamedTuple):
    """One matrix: the tensor's name, its module type, and its layer."""

    name: str
    type: str
    layer: int


def find_matrices(shapes: Mapping[str, tuple[int, ...]]) -> list[Matrix]:
    """Return the two-dimensional tensors of the known types, by layer, then type, then name."""
    found = []
    for name, shape in shapes.items():
        match = _NAME.fullmatch(name)
        if match and len(shape) == 2:
            found.append(Matrix(name, match[2], int(match[1])))
    return sorted(found, key=lambda item: (item.layer, MODULE_TYPES.index(item.type), item.name))
