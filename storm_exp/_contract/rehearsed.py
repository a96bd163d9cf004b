"""What a component's `rehearsal` is told of a port."""

from __future__ import annotations

import dataclasses
from typing import Generic, TypeVar

from storm_exp._contract.artifact import Spec

F = TypeVar("F", bound=Spec)


@dataclasses.dataclass(frozen=True)
class Rehearsed(Generic[F]):
    """What is known of one artifact of a recipe, and of what stands in for it."""

    real: F
    twin: F
