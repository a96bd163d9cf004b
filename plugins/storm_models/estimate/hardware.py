"""Accelerators that a plan can be estimated for, and the hardware that an estimate assumes."""

from __future__ import annotations

import dataclasses

from storm_exp import Runtime, SettingError, did_you_mean

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """A device to compute on, as its datasheet describes it."""

    name: str
    flops: float
    """Dense FLOP/s in bf16 (of a CPU core: in fp32), as the manufacturer states them."""
    memory: float | None
    """Bytes of memory that a program can use; None: not limited."""


ACCELERATORS = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator("h200", 989e12, 140 * GIB),
        Accelerator("h100", 989e12, 79 * GIB),
        Accelerator("a100_80", 312e12, 79 * GIB),
        Accelerator("a100_40", 312e12, 39 * GIB),
        Accelerator("l40s", 362e12, 44 * GIB),
        Accelerator("rtx4090", 165e12, 23.5 * GIB),
        Accelerator("cpu", 50e9, None),
    )
}


@dataclasses.dataclass(frozen=True)
class Hardware:
    """The hardware that an estimate assumes."""

    accelerator: Accelerator
    devices: int
    """The number of devices that share a stage which can be divided."""
    sharded: bool
    """Whether each device holds only a part of the weights."""

    @property
    def gpu(self) -> bool:
        """Whether the accelerator is a GPU."""
        return self.accelerator.name != "cpu"

    @classmethod
    def of(cls, runtime: Runtime, full_size: bool) -> Hardware:
        """Return the runtime's hardware; by default an h100 at full size, else this CPU."""
        gpu = runtime.device.startswith("cuda") or (full_size and runtime.device == "auto")
        name = runtime.accelerator or ("h100" if gpu else "cpu")
        accelerator, devices = ACCELERATORS[name], runtime.devices * runtime.nodes
        if name == "cpu":
            flops = accelerator.flops * runtime.thread_count()
            accelerator = dataclasses.replace(accelerator, flops=flops)
        auto = runtime.strategy == "auto" and name != "cpu"
        return cls(accelerator, devices, devices > 1 and (auto or runtime.strategy == "fsdp"))


def check_accelerator(runtime: Runtime) -> None:
    """Raise SettingError for an accelerator that is not known."""
    name = runtime.accelerator
    if name and name not in ACCELERATORS:
        raise SettingError("accelerator", name, f"unknown{did_you_mean(name, ACCELERATORS)}")
