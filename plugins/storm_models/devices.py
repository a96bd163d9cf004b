"""The devices of this machine, and torch's threads and precision for a runtime."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from storm_exp import Runtime

_DRIVERS = (
    "/dev/nvidiactl",
    "/proc/driver/nvidia/version",
    "/dev/nvhost-gpu",
    "/dev/nvmap",
    "/dev/kfd",
    "/dev/dxg",
)
"""Files of NVIDIA's driver (Jetson boards included), of AMD's, and of both under WSL."""


def device_count(kind: str) -> int | None:
    """Return the devices of a kind that torch could compute on, None where torch is not installed.

    `auto` counts CUDA devices; without a driver there are none, and torch is not imported.
    """
    if kind == "auto" and sys.platform == "linux" and not any(map(_exists, _DRIVERS)):
        return 0
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return torch.cuda.device_count()


def core_count() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def has_gpu() -> bool:
    """Return whether CUDA is available; imports torch."""
    import torch

    return torch.cuda.is_available()


def choose_device(wanted: str) -> str:
    """Return the torch device for `auto`, `cpu`, `cuda` or `cuda:N`."""
    return ("cuda" if has_gpu() else "cpu") if wanted == "auto" else wanted


def own_device(device: str, world: int) -> str:
    """Return the device of one of `world` workers, which have a GPU of their node each."""
    rank = os.environ.get("LOCAL_RANK", "")
    return f"cuda:{rank}" if device == "cuda" and world > 1 and rank else device


@contextlib.contextmanager
def computing(runtime: Runtime) -> Iterator[str]:
    """Set torch's threads and full fp32 precision; yield the device to compute on."""
    import torch

    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(runtime.thread_count())
    torch.set_float32_matmul_precision("highest")
    try:
        yield choose_device(runtime.device)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def _exists(path: str) -> bool:
    return Path(path).exists()
