"""In what numbers to compute."""

from __future__ import annotations

import torch


def choose_precision(wanted: str, accelerator: str) -> str:
    """Return `bf16-mixed` or `32`, deciding `auto` by what `accelerator` (cpu or gpu) can do.

    A CPU qualifies when it multiplies bf16 in hardware (AMX or AVX512_BF16).
    """
    if wanted != "auto":
        return wanted
    if accelerator == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    tells = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    supported = any(getattr(torch.cpu, name, bool)() for name in tells)
    return "bf16-mixed" if supported else "32"
