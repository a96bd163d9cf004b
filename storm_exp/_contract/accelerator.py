"""Accelerators: the devices that a plan can estimate for."""

from __future__ import annotations

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """A device that computes."""

    name: str
    flops: float
    """Dense operations a second in bf16 (a CPU core: in fp32), as its maker states them."""
    memory: float | None
    """Bytes that a program can have."""


ACCELERATORS = {
    card.name: card
    for card in (
        Accelerator("h200", 989e12, 140 * GIB),
        Accelerator("h100", 989e12, 79 * GIB),
        Accelerator("a100_80", 312e12, 79 * GIB),
        Accelerator("a100_40", 312e12, 39 * GIB),
        Accelerator("l40s", 362e12, 44 * GIB),
        Accelerator("rtx4090", 165e12, 23.5 * GIB),
        Accelerator("cpu", 50e9, None),
    )
}
