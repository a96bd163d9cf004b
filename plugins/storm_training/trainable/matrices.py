"""The matrices of a transformer's blocks, recognised by their names."""

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
"""Types of matrices; qkv_proj and gate_up_proj are the fused ones of Phi-3."""

_NAME = re.compile(r"(?:.*\.)?layers\.(\d+)\.(?:.*\.)?(" + "|".join(MODULE_TYPES) + r")\.weight")


class Matrix(NamedTuple):
    """One matrix: the tensor's name, its module type, and its layer."""

    name: str
    type: str
    layer: int


def find_matrices(shapes: Mapping[str, tuple[int, ...]]) -> list[Matrix]:
    """Return the matrices of the known types, sorted by layer, then type, then name."""
    matrices = []
    for name, shape in shapes.items():
        match = _NAME.fullmatch(name)
        if match and len(shape) == 2:
            matrices.append(Matrix(name, match[2], int(match[1])))
    return sorted(matrices, key=lambda m: (m.layer, MODULE_TYPES.index(m.type), m.name))
