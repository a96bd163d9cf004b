"""Number formats of GGUF files, and fallbacks for matrices that do not fit their blocks."""

from __future__ import annotations

from enum import StrEnum


class GgufType(StrEnum):
    """Format of the matrices of a file; vectors are stored in 32 bits."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"
    q8_0 = "q8_0"
    """Blocks of 32 weights: 8 bits each and a scale."""
    q4_0 = "q4_0"
    """Blocks of 32 weights: 4 bits each and a scale."""
    q2_k = "q2_k"
    q3_k_m = "q3_k_m"
    q4_k_s = "q4_k_s"
    q4_k_m = "q4_k_m"
    q5_k_s = "q5_k_s"
    q5_k_m = "q5_k_m"
    q6_k = "q6_k"
    """K types: blocks of 256 weights, quantised by libllama, which mixes several in a file."""

    @property
    def is_k(self) -> bool:
        """Whether the type is quantised by libllama, in blocks of 256."""
        return self.value.startswith("q") and "_k" in self.value

    @property
    def is_weighted(self) -> bool:
        """Whether libllama rounds by an importance matrix, if it has one."""
        return self.is_k or self is GgufType.q4_0

    def file_name(self) -> str:
        """Return the file name, for example model-Q8_0.gguf."""
        return f"model-{self.value.upper()}.gguf"


FILE_TYPES = {
    GgufType.f32: 0,
    GgufType.f16: 1,
    GgufType.q4_0: 2,
    GgufType.q8_0: 7,
    GgufType.q2_k: 10,
    GgufType.q3_k_m: 12,
    GgufType.q4_k_s: 14,
    GgufType.q4_k_m: 15,
    GgufType.q5_k_s: 16,
    GgufType.q5_k_m: 17,
    GgufType.q6_k: 18,
    GgufType.bf16: 32,
}
"""llama.cpp's numbers of the types (`general.file_type`, `llama_ftype`)."""

BLOCK, K_BLOCK = 32, 256
"""Weights per block."""

BITS = {
    GgufType.f32: 32.0,
    GgufType.f16: 16.0,
    GgufType.bf16: 16.0,
    GgufType.q8_0: 8.5,
    GgufType.q4_0: 4.5,
    GgufType.q2_k: 3.2,
    GgufType.q3_k_m: 3.9,
    GgufType.q4_k_s: 4.6,
    GgufType.q4_k_m: 4.85,
    GgufType.q5_k_s: 5.5,
    GgufType.q5_k_m: 5.7,
    GgufType.q6_k: 6.6,
}
"""Bits per weight, scales included; approximate for K types, which are mixed."""


def stored_type(type_: GgufType, columns: int, is_head: bool) -> GgufType:
    """Return the type of a matrix with rows of `columns` weights in a file of `type_`.

    Rows that are not a multiple of the block are stored in 16 bits. The head of a Q4_0 file has
    8 bits: llama.cpp stores it in 6, or in 8 if rows are not multiples of 256.
    """
    if type_ not in (GgufType.q8_0, GgufType.q4_0):
        return type_
    if columns % BLOCK:
        return GgufType.f16
    return GgufType.q8_0 if is_head else type_


def k_widths(widths: dict[str, int]) -> tuple[bool, list[str]]:
    """Return whether the rows of most matrices fit K blocks, and the widths that do not fit.

    `widths` are lengths of rows: `hidden` that of most matrices, `queries` and `inner` that of one
    matrix per layer each.
    """
    odd = [f"{name}={size}" for name, size in widths.items() if size % K_BLOCK]
    return widths["hidden"] % K_BLOCK == 0, odd
