"""What making an artifact will take, estimated before it is made."""

from __future__ import annotations

import dataclasses

from storm_exp._contract.accelerator import ACCELERATORS, Accelerator
from storm_exp._contract.runtime import Runtime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What a component's `cost` returns. None: not known; an upper bound where only that is."""

    tokens: float | None = None
    """Tokens that a model reads or writes, each as often as it is read."""
    flops: float | None = None
    memory: float | None = None
    """Bytes at the highest point, on each device that computes."""
    disk: float | None = None
    """Bytes of the artifact."""
    on_host: bool = False
    """Whether this is work for a CPU, whatever the card."""
    assumes: str = ""
    """What the estimate takes for granted, in a few words."""


@dataclasses.dataclass(frozen=True)
class Hardware:
    """Where an estimate supposes that stages run."""

    card: Accelerator
    devices: int
    """How many work at a stage that can be divided."""
    sharded: bool
    """Whether each of them holds a part of the weights."""

    @property
    def gpu(self) -> bool:
        """Whether the card is one."""
        return self.card.name != "cpu"

    @classmethod
    def of(cls, runtime: Runtime, full_size: bool) -> Hardware:
        """Return what the runtime names; without a card, an h100 at full size, else this CPU."""
        gpu = runtime.device.startswith("cuda") or (full_size and runtime.device == "auto")
        name = runtime.card or ("h100" if gpu else "cpu")
        card, devices = ACCELERATORS[name], runtime.devices * runtime.nodes
        if name == "cpu":
            card = dataclasses.replace(card, flops=card.flops * runtime.thread_count())
        auto = runtime.strategy == "auto" and name != "cpu"
        return cls(card, devices, devices > 1 and (auto or runtime.strategy == "fsdp"))
