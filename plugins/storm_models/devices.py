"""Which devices this machine has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_DRIVERS = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia/version",
    "/dev/nvhost-gpu",
    "/dev/nvmap",
    "/dev/kfd",
    "/dev/dxg",
)
"""Of NVIDIA's driver, on boards too, of AMD's, and of both under Windows' Linux."""


def device_count(kind: str) -> int | None:
    """Return the devices of a kind that torch could compute on, None where torch is not installed.

    `auto` counts CUDA's; without a driver there are none, which is known without importing torch.
    """
    if kind == "auto" and sys.platform == "linux" and not any(map(_exists, _DRIVERS)):
        return 0
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return torch.cuda.device_count()


def has_gpu() -> bool:
    """Return whether CUDA is there; imports torch."""
    import torch

    return torch.cuda.is_available()


def _exists(path: str) -> bool:
    return Path(path).exists()
