"""What making an artifact will take, estimated before it is made."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from storm_exp._contract.errors import strangers_code

if TYPE_CHECKING:
    from storm_exp._contract.stage_context import Runtime
    from storm_exp._plan.plan import PlannedArtifact

GIB = 2**30


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


def estimate(node: PlannedArtifact, place: Hardware) -> Cost | None:
    """Return what making a node takes, None where its component does not say.

    A component's `cost` takes `place`, `forecast` (of the artifact) and the forecasts of its
    inputs, those that it names.
    """
    compute: Any = getattr(node.settings, "cost", None)
    if compute is None:
        return None
    given = {"place": place, "spec": node.spec, **node.input_specs()}
    wanted = inspect.signature(compute).parameters
    with strangers_code(f"{node.label}: the component '{node.component.name}' (cost)"):
        cost = compute(**{name: value for name, value in given.items() if name in wanted})
        if not (cost is None or isinstance(cost, Cost)):
            raise TypeError(f"{cost!r:.100} is no Cost")
    return cost
