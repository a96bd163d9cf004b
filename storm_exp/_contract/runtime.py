"""Where stages run: the section `runtime` of a configuration."""

from __future__ import annotations

import dataclasses
import os
import re

from storm_exp._contract.accelerator import ACCELERATORS
from storm_exp._contract.errors import SettingError, did_you_mean

STRATEGIES = ("auto", "ddp", "fsdp")
LAUNCHERS = ("auto", "torchrun", "srun")


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where stages run. Recorded, never part of a key."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads for arithmetic; 0 takes OMP_NUM_THREADS, or every core that this process may use."""
    devices: int = 1
    """Devices of a node that a stage uses which can use several: one worker process each."""
    nodes: int = 1
    """Nodes that such a stage uses. They share the store's file system."""
    strategy: str = "auto"
    """How training is divided: ddp (a whole model on each device), fsdp (a part on each), or auto:
    ddp on CPUs, fsdp on GPUs."""
    card: str = ""
    """The card that `plan` estimates for, and refuses what does not fit on: h100, h200, a100_80,
    a100_40, l40s, rtx4090 or cpu. Empty: h100 at full size or on CUDA, else this machine's CPU;
    refuses nothing."""
    utilisation: float = 0.4
    """Share of the card's operations a second that `plan` counts on."""
    launcher: str = "auto"
    """What starts workers on several nodes: srun, torchrun, or auto: srun in a Slurm allocation.
    Under torchrun the stage says the command that the other nodes have to run."""

    def __post_init__(self) -> None:
        """Check what can be known here; whether devices are there shows when a stage needs them."""
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise SettingError("device", self.device, "must be auto, cpu, cuda or cuda:N")
        for name, least in (("threads", 0), ("devices", 1), ("nodes", 1)):
            if getattr(self, name) < least:
                raise SettingError(name, getattr(self, name), f"must be at least {least}")
        if ":" in self.device and self.devices > 1:
            raise SettingError("device", self.device, f"is one device, but devices={self.devices}")
        if not 0 < self.utilisation <= 1:
            raise SettingError("utilisation", self.utilisation, "must be above 0, at most 1")
        if self.card and self.card not in ACCELERATORS:
            raise SettingError("card", self.card, f"unknown{did_you_mean(self.card, ACCELERATORS)}")
        for name, known in (("strategy", STRATEGIES), ("launcher", LAUNCHERS)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise SettingError(name, value, f"unknown{did_you_mean(value, known)}")

    def thread_count(self) -> int:
        """Return the number of threads to use, at least one."""
        cores = len(os.sched_getaffinity(0))
        return self.threads or int(os.environ.get("OMP_NUM_THREADS") or cores)

    def limit_threads(self) -> None:
        """Tell arithmetic libraries that are not imported yet how many threads to take."""
        os.environ["OMP_NUM_THREADS"] = str(self.thread_count())
