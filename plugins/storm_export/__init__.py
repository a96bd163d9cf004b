"""Checkpoints in other number formats, for shipping."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the compressors."""
    from storm_export.bf16 import Bf16
    from storm_export.fp8 import Fp8Dynamic

    return [Bf16, Fp8Dynamic]
