"""What a component's `rehearsal` is given for each port."""

from __future__ import annotations

import dataclasses
from typing import Generic, TypeVar

from storm_exp._contract.artifact import Spec

F = TypeVar("F", bound=Spec)


@dataclasses.dataclass(frozen=True)
class Rehearsed(Generic[F]):
    """Spec of an artifact of a recipe, and of its stand-in in the rehearsal."""

    real: F
    twin: F
