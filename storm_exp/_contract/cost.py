"""What making an artifact will take, estimated before it is made."""

from __future__ import annotations

import dataclasses


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
    """Whether this is work for a CPU, whatever the accelerator."""
    assumes: str = ""
    """What the estimate takes for granted, in a few words."""
