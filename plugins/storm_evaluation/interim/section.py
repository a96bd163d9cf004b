"""The root section `evaluation`: which models of a training are evaluated before its end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from storm_exp import check_bounds, setting

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclasses.dataclass(kw_only=True)
class EvaluationSection:
    """Adds stages to a recipe, and changes the key of none."""

    every: int | None = setting(None, at_least=1, unit="steps")
    """Evaluate every training after each so many optimiser steps; null: only its end."""
    every_epochs: float | None = setting(None, above=0, unit="epochs")
    """The same in epochs, for trainings whose length `epochs` sets."""
    trainings: list[str] = setting([])
    """The trainings that are evaluated on the way; empty: all whose models are evaluated."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        check_bounds(self)

    def expand(self, config: DictConfig) -> None:
        """Add the stages to a composed recipe; raises SettingError for what cannot be."""
        if self.every is None and self.every_epochs is None:
            return
        from storm_evaluation.interim.stages import add_stages

        add_stages(config, self.every, self.every_epochs, self.trainings)
