"""Cost of making an artifact, estimated in advance."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Result of a component's `cost`. None: unknown. A value may be an upper bound."""

    tokens: float | None = None
    """Tokens that a model processes; one that is read twice counts twice."""
    flops: float | None = None
    memory: float | None = None
    """Peak bytes on each device."""
    disk: float | None = None
    """Bytes of the artifact."""
    on_host: bool = False
    """Whether the work is done by the CPU even if there is an accelerator."""
    assumes: str = ""
    """Assumptions of the estimate, in a few words."""
