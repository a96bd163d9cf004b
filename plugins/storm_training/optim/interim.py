"""Settings of trainings whose model is kept before they end, too."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Self

from storm_exp import describe, setting, value_digest
from storm_training.optim.rehearsal import few_steps
from storm_training.optim.settings import TrainingSettings

INTERIM = ("stop_after", "stop_after_epochs", "keep_every", "keep_every_epochs")
"""The settings that only say which models are kept: where to stop, and what to keep."""


@dataclasses.dataclass(kw_only=True)
class InterimSettings(TrainingSettings):
    """Training that may stop before its schedule ends, or keep the models of earlier steps.

    A model of N steps has the bits that the whole training has after N steps.
    """

    stop_after: int | None = setting(None, neutral=None, at_least=1, unit="steps")
    """Stop after so many optimiser steps of the schedule, whatever `keep` says; null: at its
    end."""
    stop_after_epochs: float | None = setting(None, neutral=None, above=0, unit="epochs")
    """The same in epochs, where `epochs` sets the length."""
    keep_every: int | None = setting(None, semantic=False, at_least=1, unit="steps")
    """Optimiser steps between models that are kept for stages with `stop_after`, which then take
    them instead of training (`evaluation.every` sets it)."""
    keep_every_epochs: float | None = setting(None, semantic=False, above=0, unit="epochs")
    """The same in epochs, for stages with `stop_after_epochs`."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        once = self.stop_after is None or self.stop_after_epochs is None
        self._require("stop_after_epochs", once, "stop_after says already when to stop")
        for name in ("stop_after", "keep_every"):
            epochs = getattr(self, f"{name}_epochs")
            problem = f"steps={self.steps} sets the length: count in steps, by {name}"
            self._require(f"{name}_epochs", epochs is None or not self.steps, problem)
        inside = self.stop_after is None or not self.steps or self.stop_after < self.steps
        self._require("stop_after", inside, f"must be below steps={self.steps}")
        inside = self.stop_after_epochs is None or self.stop_after_epochs < self.epochs
        self._require("stop_after_epochs", inside, f"must be below epochs={self.epochs:g}")

    def rehearsal(self) -> Self:
        """Return the settings of a few steps, of which an earlier stop is after the first."""
        none: dict[str, Any] = dict.fromkeys(INTERIM)
        stops, keeps = (
            any(getattr(self, name) is not None for name in names)
            for names in (INTERIM[:2], INTERIM[2:])
        )
        return dataclasses.replace(
            few_steps(dataclasses.replace(self, **none)),
            stop_after=1 if stops else None,
            keep_every=1 if keeps else None,
        )

    def ends_after(self) -> tuple[int | None, float]:
        """Return the steps after which training ends, and the epochs, which count without steps."""
        return self.stop_after or self.steps, self.stop_after_epochs or self.epochs

    def last_step(self, total: int) -> int | None:
        """Return the step after which to stop, None at the end, of a training of `total` steps."""
        if self.stop_after_epochs is not None:
            return self._step(self.stop_after_epochs, total)
        return self.stop_after

    def kept_steps(self, total: int) -> list[int]:
        """Return the steps whose models are kept, of a training of `total` steps."""
        if self.keep_every is not None:
            steps = list(range(self.keep_every, total, self.keep_every))
        elif self.keep_every_epochs is not None:
            count = math.ceil(self.epochs / self.keep_every_epochs) - 1
            ends = [round(self.keep_every_epochs * number, 9) for number in range(1, count + 1)]
            steps = [self._step(end, total) for end in ends]
        else:
            steps = []
        last = self.last_step(total)
        return steps if last is None else [*(step for step in steps if step < last), last]

    def trajectory(self) -> str:
        """Return a digest of the settings that all stops of one training have in common."""
        shared: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.metadata.get("semantic", True) and field.name not in INTERIM
        }
        plain = json.loads(json.dumps(shared, default=_plain))
        component = describe(type(self))
        return value_digest([component.name, component.version, plain])

    def shared_work(self) -> tuple[str, float]:
        """Return what stops of one training have in common, and how far this one goes."""
        steps, epochs = self.ends_after()
        return self.trajectory(), steps or epochs

    def _step(self, epochs: float, total: int) -> int:
        return min(max(round(total * epochs / self.epochs), 1), total)


def _plain(value: Any) -> Any:
    """Return a nested dataclass, or an Enum, as JSON."""
    nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if nested else str(value)
